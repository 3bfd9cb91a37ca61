"""The scripts of cookbook/02_agents/20_agents_as_tools do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/20_agents_as_tools/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def test_an_agent_is_a_tool(cookbook: Cookbook) -> None:
    ask = call("ask_meteorologist", input="Wind at Skagen?")
    wind = call("wind", place="Skagen")
    printed = cookbook(HERE + "expert.py", ask, wind, "A gale.", "Stay.").splitlines()
    assert printed == [
        "ask_meteorologist {'input': 'Wind at Skagen?'} -> A gale.",
        "Stay.",
        "Meteorologist True ['south-west, 6']",
        "tokens of both: 60",
    ]


def test_a_sub_agent_has_a_schema(cookbook: Cookbook) -> None:
    plan = call("plan_route", start="hotel", end="harbour", stops=1)
    answer = json.dumps({"minutes": 25})
    printed = cookbook(HERE + "typed_input.py", plan, answer, "25 minutes.").splitlines()
    assert printed[0].startswith("{'start': 'hotel', 'end': 'harbour', 'stops': 1} -> ")
    assert json.loads(printed[0].partition(" -> ")[2]) == {"minutes": 25}
    assert printed[1] == "25 minutes."
    [tool] = cookbook.server.requests[0].body["tools"]
    assert {"start", "end", "stops"} <= {*tool["parameters"]["properties"]}


def test_a_conversation_is_handed_over(cookbook: Cookbook) -> None:
    cookbook.answer(call("transfer_to_repairs"), "Which number?")
    printed = cookbook(HERE + "handoff.py", call("transfer_to_sales"), "This one.")
    assert printed == "Repairs: Which number?\nSales: This one.\n"
    assert "My kettle does not boil." in str(cookbook.server.requests[1].body["input"])


def test_a_pause_comes_through(cookbook: Cookbook) -> None:
    answers = (
        call("region", input="Close the Furka."),
        call("road_service", input="Close it."),
        call("close_pass", pass_name="Furka"),
    )
    printed = cookbook(HERE + "asks_through.py", *answers, "Closed.", "It is.", "All closed.")
    assert printed.splitlines() == [
        "PAUSED | Road service close_pass {'pass_name': 'Furka'}",
        "closed: Furka",
        "COMPLETED All closed.",
    ]


def test_a_stream_is_nested(cookbook: Cookbook) -> None:
    translate = call("translate", input="hello")
    printed = cookbook(HERE + "nested_stream.py", translate, "Hallo.", "You say Hallo.")
    assert printed.splitlines() == [
        "Host RunStarted",
        "  Translator RunStarted",
        "  Translator says Hallo.",
        "  Translator RunCompleted",
        "Host says You say Hallo.",
        "Host RunCompleted",
    ]


def test_state_is_shared(cookbook: Cookbook) -> None:
    answers = (
        call("box_office", input="15 seats"),
        call("reserve", seats=15),
        "Reserved.",
        call("look"),
        "Five are left.",
    )
    printed = cookbook(HERE + "shared_state.py", *answers)
    assert printed.splitlines() == ["['Reserved.', '5 are free.'] Five are left.", "{'free': 5}"]


def test_a_killed_call_has_one_child(cookbook: Cookbook) -> None:
    script = HERE + "exactly_one.py"
    answers = (call("surveyor", input="The kitchen."), call("measure", room="kitchen"))
    assert cookbook.kill(script, *answers, at=3).text == "measured kitchen\n"
    again = cookbook(script, "20 m².", "It has 20 m².", KERN_HEARTBEAT="0.5")
    assert again == "COMPLETED It has 20 m².\nchildren: 1\n"
