"""The scripts of cookbook/02_agents/06_tools do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/06_tools/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def offered(cookbook: Cookbook, request: int = 0) -> list[str]:
    """Return the names of the tools that a request has offered."""
    return [each["name"] for each in cookbook.server.requests[request].body.get("tools", [])]


def told(cookbook: Cookbook, request: int) -> str:
    """Return the results of tools that a request has told the model."""
    parts = cookbook.server.requests[request].body["input"]
    return "\n".join(
        str(part["output"]) for part in parts if part.get("type") == "function_call_output"
    )


def test_a_function_is_told_by_its_signature(cookbook: Cookbook) -> None:
    arguments = {"box": {"width": 1, "depth": 2}, "height": 0.2, "unit": "bags"}
    printed = cookbook(HERE + "functions.py", call("soil", **arguments), "Ten bags.")
    assert printed.startswith("soil bags {")
    assert printed.endswith("} True\nTen bags.\n")
    result = printed[printed.index("{") : printed.index("}") + 1]
    assert json.loads(result) == {"amount": 10.0, "unit": "bags"}
    (tool,) = cookbook.server.requests[0].body["tools"]
    assert tool["description"] == "Say how much soil a box takes."
    assert "how high the soil stands, in metres" in json.dumps(tool)
    assert ["litres", "bags"] in [
        each.get("enum") for each in tool["parameters"]["properties"].values()
    ]
    assert "$defs" in tool["parameters"]


def test_a_decorator_says_more(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "decorated.py", call("find_platform", train="IC 204"), "On 7.")
    assert printed.splitlines() == [
        "find_platform | Find the platform of a train.",
        "by hand: 12",
        "Ask for the number of the train before you look for its platform.",
        "On 7.",
    ]
    assert offered(cookbook) == ["find_platform", "delay"]
    assert cookbook.server.requests[0].body["tools"][0]["strict"] is True


def test_some_parameters_are_hidden(cookbook: Cookbook) -> None:
    calls = Reply.tool_calls(("lend", {"title": "Emma"}), ("stamp", {"days": 14}))
    printed = cookbook(HERE + "hidden_parameters.py", calls, "Here it is.")
    assert printed.splitlines() == [
        "lend ['title'] -> Village library lends 'Emma' to tom; 2 left",
        "stamp ['days'] -> in 14 days, key of the call: True",
        "Here it is.",
    ]
    tools = cookbook.server.requests[0].body["tools"]
    assert [[*tool["parameters"]["properties"]] for tool in tools] == [["title"], ["days"]]


def test_a_toolkit_shares_something(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "own_toolkit.py", call("price", bread="rye"), call("sell", bread="rye"), "Thanks!"
    )
    first, *instructions, results, answer = printed.splitlines()
    assert first == "['price', 'sell']"
    assert "Tell the price before you sell." in "\n".join(instructions)
    assert results == "['4.2', 'sold: rye'] ['rye']"
    assert answer == "Thanks!"
    assert offered(cookbook) == ["price", "sell"]


def test_a_function_chooses_the_tools(cookbook: Cookbook) -> None:
    script = HERE + "tools_of_a_run.py"
    printed = cookbook(script, call("ring"), "I rang.", call("open_gate"), "Come in.")
    assert printed == "a guest: ['ring'] I rang.\nnight shift: ['open_gate'] Come in.\n"
    assert offered(cookbook) == ["ring"]
    assert offered(cookbook, 2) == ["ring", "open_gate"]


def test_hooks_are_around_each_call(cookbook: Cookbook) -> None:
    answers = (call("stock", plant="FERNS"), call("stock", plant="Poison Ivy"), "Ferns only.")
    printed = cookbook(HERE + "around_calls.py", *answers)
    assert printed.splitlines() == [
        "eve stock({'plant': 'FERNS'}) -> 5 of ferns",
        "eve stock({'plant': 'Poison Ivy'}) -> This plant is not sold.",
        "Ferns only.",
    ]
    assert "This plant is not sold." in told(cookbook, 2)


def test_hooks_of_one_tool_see_its_calls(cookbook: Cookbook) -> None:
    answers = (call("lift", kilos=8, floor=3), "It is up.", call("lift", kilos=200, floor=4))
    printed = cookbook(HERE + "before_and_after_a_call.py", *answers).splitlines()
    assert printed[:4] == [
        "before: lift {'kilos': 8, 'floor': 3}",
        "after: Porter 8 kg are on floor 3",
        "It is up.",
        "before: lift {'kilos': 200, 'floor': 4}",
    ]
    assert printed[4].startswith("COMPLETED ")
    assert "Too heavy for the lift" in printed[4]
    assert len(printed) == 5


def test_pieces_and_own_events_reach_readers(cookbook: Cookbook) -> None:
    answers = (Reply.tool_calls(("race", {"laps": 2}), ("cheer", {"times": 2})), "What a race!")
    printed = cookbook(HERE + "pieces.py", *answers).splitlines()
    race, cheer = "race -> Lap 1 done. Lap 2 done. Finished.", "cheer -> Hurra! Hurra! "
    assert [each for each in printed[:-1] if each != cheer] == [
        "lap 1 61.5 True",
        "lap 2 61.5 True",
        race,
    ]
    assert cheer in printed
    assert printed[-1] == "What a race!"


def test_a_result_is_the_answer(cookbook: Cookbook) -> None:
    answers = (call("ticket", place="opera"), call("seating", place="opera"), "Two in the middle.")
    printed = cookbook(HERE + "ends_the_run.py", *answers).splitlines()
    assert printed[0] == "the result is the answer: [ TICKET | opera | row 7 ]"
    assert "x x _ _ x" in printed[1]
    assert "Two in the middle." in printed[1]
    assert len(cookbook.server.requests) == 3


def test_a_tool_sends_the_model_back_or_ends_the_run(cookbook: Cookbook) -> None:
    litres = [call("order_paint", litres=n) for n in (2, 4, 30)]
    printed = cookbook(HERE + "try_again.py", *litres[:2], "Six litres.", litres[2])
    assert printed == "[2, 4] Six litres.\nCOMPLETED 1 call\n"
    assert "the fence takes 5" in str(cookbook.server.requests[1].body)


def test_a_result_is_kept(cookbook: Cookbook) -> None:
    answers: list[Reply | str] = []
    for country in ("Peru", "Chad", "Peru"):
        answers += [call("postage", country=country), "So much."]
    printed = cookbook(HERE + "kept_results.py", *answers)
    assert printed.splitlines() == [
        "Peru 3.70 So much.",
        "Chad 4.10 So much.",
        "Peru 3.70 So much.",
        "looked up: ['Peru', 'Chad']",
    ]
    assert cookbook(HERE + "kept_results.py", *answers).endswith("looked up: []\n")


def test_calls_have_bounds(cookbook: Cookbook) -> None:
    questions = ("Does it rain?", "What is the meaning of life?", "What time is it?")
    calls = Reply.tool_calls(*(("ask_the_oracle", {"question": each}) for each in questions))
    printed = cookbook(HERE + "bounds.py", calls, "It rains.").splitlines()
    assert printed[0] == "Does it rain? | False | yes"
    assert printed[1].startswith("What is the meaning of life? | True | ")
    assert printed[2].startswith("What time is it? | True | ")
    assert printed[3] == "COMPLETED It rains."


def test_sequential_calls_see_what_those_before_them_left(cookbook: Cookbook) -> None:
    crates = ("pears", "plums", "figs", "nuts")
    calls = Reply.tool_calls(*(("stack", {"crate": crate}) for crate in crates))
    printed = cookbook(HERE + "one_after_the_other.py", calls, "Three.").splitlines()
    assert printed[:3] == [
        "False pears",
        "False pears < plums",
        "False pears < plums < figs",
    ]
    assert printed[3].startswith("True ")
    assert printed[4] == "['pears', 'plums', 'figs'] Three."


def test_the_model_is_told_what_was_wrong(cookbook: Cookbook) -> None:
    answers = (
        call("split_bill", total="ninety", people=3),
        call("split_bill", total=90, people=0),
        call("split_bill", total=90, people=3),
    )
    printed = cookbook.run(HERE + "what_goes_wrong.py", *answers, "30 euros each.")
    lines = printed.text.splitlines()
    assert lines[:2] == ["called with 0", "called with 3"]
    assert [line.partition(" ")[0] for line in lines[2:5]] == ["True", "True", "False"]
    assert "total" in lines[2]
    assert "division by zero" in lines[3]
    assert lines[5] == "COMPLETED 30 euros each."
    assert "split_bill failed: ZeroDivisionError" in printed.errors
    assert "ERROR" not in printed.errors
    assert "Traceback" not in printed.errors


def test_an_interrupted_call_is_not_made_again(cookbook: Cookbook) -> None:
    script = HERE + "interrupted.py"
    printed = cookbook.kill(script, call("ring_the_alarm", minutes=5), when="ringing\n")
    assert printed.text == "ringing\n"
    again = cookbook(script, "Go and look.", KERN_HEARTBEAT="0.5")
    assert again == "True COMPLETED Go and look.\n"
    assert "unknown" in told(cookbook, 1)


def test_the_model_thinks_first(cookbook: Cookbook) -> None:
    thought = call("think", title="Compare", thought="Two trips cost 7.20; the ticket is less.")
    printed = cookbook(HERE + "think_first.py", call("fare", zones=3), thought, "Yes.")
    assert printed == "['fare', 'think']\nYes.\n"
    assert offered(cookbook) == ["fare", "think", "analyze"]
