"""The scripts of cookbook/02_agents/02_context do what they say."""

import re

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/02_context/"


def told(cookbook: Cookbook, request: int = 0) -> str:
    """Return all that a model was told in a request."""
    return str(cookbook.server.requests[request].body)


def test_the_parts_of_the_system_message_stand_in_their_order(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "parts.py", "Water drips from a lion's mouth.")
    parts = [
        "You write labels for a museum of clocks.",
        "Explain each clock to a visitor of twelve years.",
        "- Name the century.",
        "- Leave prices out.",
        "Curator",
        "One paragraph of at most forty words.",
        "The hall is dark: labels are read at arm's length.",
    ]
    places = [printed.index(part) for part in parts]
    assert places == sorted(places)
    assert "markdown" in printed.lower()
    assert printed.endswith("Water drips from a lion's mouth.\n")
    assert all(part in told(cookbook) for part in parts[:2])


def test_the_model_is_told_time_and_place(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "time_and_place.py", "Not yet.")
    assert re.search(r"[A-Z][a-z]+day, \d\d [A-Z][a-z]+ \d{4}, \d\d:\d\d", printed)
    assert "Reykjavík, Iceland" in printed
    assert "Not yet." in printed


def test_a_function_says_the_instructions_of_each_run(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "instructions_of_a_run.py", "À sept heures.", "Klokken syv.", "Seven."
    )
    first, _, second, _, third, _ = printed.splitlines()
    assert re.search(r"amina \| .*You are Concierge\..*Answer in French\.", first)
    assert "Answer in Danish." in second
    assert "Answer in English." in third
    assert all(
        language in told(cookbook, number)
        for number, language in enumerate(("French", "Danish", "English"))
    )


def test_names_in_braces_are_filled(cookbook: Cookbook) -> None:
    first, _, second, _ = cookbook(
        HERE + "names_in_instructions.py", "Jon.", "Nobody."
    ).splitlines()
    assert "You plan for the night desk." in first
    assert "'Ida': 20" in first or '"Ida": 20' in first
    assert "The tone is dry." in first
    assert "Ask rosa before" in first
    assert "{HH}:{MM}" in first
    assert "{team_name}" in second


def test_examples_are_told_and_not_stored(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "examples.py", "Wildlife")
    assert printed == "Wildlife\nstored: ['user', 'assistant']\n"
    roles = [each.get("role") for each in cookbook.server.requests[0].body["input"]]
    assert roles[-5:] == ["user", "assistant", "user", "assistant", "user"]
    assert "two rooms" in told(cookbook)


def test_a_system_message_replaces_the_built_one(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "own_system_message.py", "White.", "The house.")
    assert printed == (
        "system: You settle arguments about chess. Quote the rule.\nWhite.\n"
        "system: Croupier settles arguments about cards. House rules come first.\nThe house.\n"
    )
    assert "left out" not in told(cookbook)


def test_a_request_is_changed_before_it_is_sent(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("balance", {"account": "AC-555777"}))
    printed = cookbook(HERE + "change_the_request.py", call, "42 euros.")
    assert printed.splitlines()[-1] == "42 euros."
    assert "1 tools" in printed
    for number in range(2):
        assert not re.search(r"AC-(555777 |100200)", told(cookbook, number))
