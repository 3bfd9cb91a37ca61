"""The scripts of cookbook/02_agents/17_people do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/17_people/"


def call(name: str, **arguments: object) -> Reply:
    return Reply.tool_calls((name, arguments))


def told(cookbook: Cookbook, request: int) -> str:
    """Return the results of tools that a request has told the model."""
    parts = cookbook.server.requests[request].body["input"]
    return "\n".join(
        str(part["output"]) for part in parts if part.get("type") == "function_call_output"
    )


def test_a_person_allows_or_rejects(cookbook: Cookbook) -> None:
    answers = (call("fell", tree="ash"), "Done.", call("fell", tree="oak"), "It stays.")
    printed = cookbook(HERE + "allow.py", *answers)
    assert printed.splitlines() == [
        "PAUSED True",
        "asks for: fell {'tree': 'ash'}",
        "felling: ash",
        "COMPLETED Done.",
        "COMPLETED It stays.",
    ]
    assert "two hundred years old" in told(cookbook, 3)


def test_a_person_changes_the_arguments(cookbook: Cookbook) -> None:
    order = call("order_flour", kilos=500, sort="wheat")
    printed = cookbook(HERE + "approve_with_changes.py", order, "50 kg, then.")
    assert printed.splitlines() == [
        "asks for: {'kilos': 500, 'sort': 'wheat'}",
        "was made: 50 kg of rye flour come on Monday.",
        "50 kg, then.",
    ]
    assert "never order more than 50 kg" in str(cookbook.server.requests[1].body["input"])


def test_a_function_decides_who_needs_a_person(cookbook: Cookbook) -> None:
    herbs = call("water", bed="herbs", litres=5)
    rice = call("water", bed="rice", litres=400)
    printed = cookbook(HERE + "only_above.py", herbs, "A little.", rice, rice, "A lot.")
    assert printed.splitlines() == [
        "apprentice COMPLETED ['5 litres on the herbs']",
        "apprentice PAUSED [None]",
        "head gardener COMPLETED ['400 litres on the rice']",
    ]


def test_a_person_fills_in(cookbook: Cookbook) -> None:
    moor = call("moor", boat="Swallow", berth=0, nights=0)
    printed = cookbook(HERE + "fill_in.py", moor, "Welcome.").splitlines()
    assert [line.partition(" |")[0] for line in printed[:3]] == [
        "boat (str): Swallow",
        "berth (int): None",
        "nights (int): None",
    ]
    assert "the number of the place" in printed[1]
    assert printed[3:] == ["Swallow lies at berth 12 for 3 nights.", "Welcome."]


def test_a_call_is_made_elsewhere(cookbook: Cookbook) -> None:
    flats = Reply.tool_calls(("read_meter", {"flat": 3}), ("read_meter", {"flat": 4}))
    printed = cookbook(HERE + "done_elsewhere.py", flats, "7000 in all.")
    assert printed.splitlines() == [
        "waits for: [{'flat': 3}, {'flat': 4}]",
        "['3000 kWh', '4000 kWh']",
        "7000 in all.",
    ]


def test_the_model_offers_a_choice(cookbook: Cookbook) -> None:
    where = {
        "question": "Where to?",
        "header": "Town",
        "options": [
            {"label": "Rome", "description": "arrives at 9"},
            {"label": "Split", "description": "arrives at noon"},
        ],
        "multi_select": False,
    }
    with_what = {
        "question": "What do you take along?",
        "header": "Luggage",
        "options": [
            {"label": "Bicycle", "description": "5 euros"},
            {"label": "Dog", "description": "half a ticket"},
        ],
        "multi_select": True,
    }
    ask = call("ask_user", questions=[where, with_what])
    printed = cookbook(HERE + "multiple_choice.py", ask, "NJ 295, coach 21.")
    assert printed.splitlines() == [
        "Town: Where to?",
        "  - Rome: arrives at 9",
        "  - Split: arrives at noon",
        "Luggage: What do you take along?",
        "  - Bicycle: 5 euros",
        "  - Dog: half a ticket",
        "NJ 295, coach 21.",
    ]
    for word in ("Rome", "Bicycle", "Dog"):
        assert word in told(cookbook, 1)
    assert "Split" not in told(cookbook, 1)


def test_the_model_asks_for_values_twice(cookbook: Cookbook) -> None:
    def ask(name: str, kind: str, description: str) -> Reply:
        field = {"field_name": name, "field_type": kind, "field_description": description}
        return call("get_user_input", user_input_fields=[field])

    answers = (
        ask("grams", "int", "How heavy is it?"),
        ask("country", "str", "Where does it go?"),
        call("stamp", grams=40, country="Chile"),
        "One of 1.25.",
    )
    printed = cookbook(HERE + "model_asks.py", *answers)
    assert printed.splitlines() == [
        "asked for: grams | How heavy is it?",
        "asked for: country | Where does it go?",
        "One of 1.25.",
    ]
    assert "40" in told(cookbook, 1)
    assert "Chile" in told(cookbook, 2)


def test_a_tool_and_a_hook_ask_by_themselves(cookbook: Cookbook) -> None:
    answers = (call("renew", book="atlas"), "Renewed.", call("renew", book="novel"), "As well.")
    printed = cookbook(HERE + "tool_asks.py", *answers)
    assert printed.splitlines() == [
        "PAUSED confirmation The atlas has been renewed 4 times.",
        "The atlas may stay three weeks more. Renewed.",
        "PAUSED confirmation May a child call renew?",
        "The novel may stay three weeks more. As well.",
    ]


def test_calls_that_need_nobody_come_first(cookbook: Cookbook) -> None:
    rex = {"dog": "Rex"}
    calls = Reply.tool_calls(("walk", rex), ("feed", rex), ("weigh", rex))
    printed = cookbook(HERE + "others_first.py", calls, "Rex is well.")
    assert printed.splitlines() == [
        "fed: Rex",
        "waits for: ['confirmation', 'external_execution']",
        "walked: Rex",
        "still: ['external_execution']",
        "COMPLETED ['It is tired.', 'It eats.', '31 kg'] Rex is well.",
    ]


def test_a_run_waits_for_another_process(cookbook: Cookbook) -> None:
    script, paused = HERE + "come_back_tomorrow.py", "PAUSED [{'picture': 'Fog', 'euros': 900}]\n"
    assert cookbook(script, call("sell", picture="Fog", euros=900)) == paused
    assert cookbook(script, "Sold.", ANSWER="yes") == f"{paused}sold: Fog\nCOMPLETED Sold.\n"


def test_a_stream_pauses_and_goes_on(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "streamed.py", call("open_lock", lock=4), "The barge is through.")
    assert printed.splitlines() == [
        "RunPaused True {'lock': 4}",
        "result: The water runs in.",
        "text: The barge is through.",
        "the same run: True",
    ]


def test_a_question_expires(cookbook: Cookbook) -> None:
    bid = call("bid", lot=7, euros=90)
    printed = cookbook(HERE + "in_time.py", bid, "Nobody said yes.", KERN_HEARTBEAT="0.5")
    assert printed == "PAUSED 0.5\nCOMPLETED True Nobody said yes.\n"


def test_one_of_two_answers_counts(cookbook: Cookbook) -> None:
    *said, ended = cookbook(
        HERE + "two_answers.py", call("ring", bell="great"), "It rang."
    ).splitlines()
    said.remove("ringing")  # It may ring before both have been told.
    counts, late = said
    first, second = counts.split()[-2], late.split()[0]
    assert {first, second} == {"ada", "bob"}
    assert counts == f"the answer of {first} counts"
    assert late.startswith(f"{second} was late: ")
    assert first in late
    assert ended == "COMPLETED It rang."


def test_calls_are_answered_in_the_older_way(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "by_its_tools.py", call("light", lamp="red"), "It shines.")
    assert printed.splitlines() == [
        "asks for: light {'lamp': 'red'}",
        "The red lamp burns.",
        "It shines.",
    ]
