"""The scripts of cookbook/02_agents/05_sessions do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/05_sessions/"


def summary(text: str, *topics: str) -> str:
    return json.dumps({"summary": text, "topics": topics})


def test_a_session_knows_what_was_said(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("opening_hours", {"day": "Monday"}))
    printed = cookbook(HERE + "transcript.py", call, "No, closed.", "24 degrees.")
    assert printed.splitlines() == [
        "swim kim 2 runs",
        "['opening_hours']",
        "Swimming on Monday",
        "  user: Open on Monday?",
        "  assistant: No, closed.",
        "  user: Is the water warm?",
        "  assistant: 24 degrees.",
        "['user', 'assistant', 'tool', 'assistant', 'user', 'assistant']",
        "last: 24 degrees.",
        "tokens: 45",
    ]


def test_sessions_are_listed_renamed_and_deleted(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "sessions_of_a_user.py", "Forum.", "Opera.", "Plaza.")
    assert printed.splitlines() == [
        "ann: ['oslo', 'rome']",
        "ann: ['oslo', 'Rome in May']",
        "Ben's, asked by Ann: None",
        "ann: ['Rome in May']",
        "ben: []",
    ]


def test_a_summary_is_made_and_told(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "summary.py",
        "Adjust the limit screws.",
        summary("The chain jumps off.", "bike", "gears"),
        "A screwdriver.",
        summary("The chain jumps off; a screwdriver is bought.", "bike"),
    )
    assert printed.splitlines() == [
        "The chain jumps off. ['bike', 'gears']",
        "told: True",
        "A screwdriver.",
        "['model', 'session_summary_model']",
    ]


def test_a_summary_that_fails_does_no_harm(cookbook: Cookbook) -> None:
    refused = Reply.http_error(400, "no such model")
    script = HERE + "own_summary.py"
    noted = summary("An oak is planted.")
    printed = cookbook.run(script, "Noted.", refused, "Noted.", noted)
    assert printed.text == "An oak is planted.\ntold: False\n"
    assert "ERROR" not in printed.errors
    assert "summary" in printed.errors
    models = [request.body["model"] for request in cookbook.server.requests]
    assert models == ["gpt-5.4-mini", "gpt-5.4-nano"] * 2


def test_a_killed_run_asks_for_its_summary_alone(cookbook: Cookbook) -> None:
    script = HERE + "summary_once.py"
    assert cookbook.kill(script, "Good news.", at=2).text == ""
    again = cookbook(script, summary("All is well."), KERN_HEARTBEAT="0.5")
    assert again == "COMPLETED Good news.\nAll is well.\n"
    assert len(cookbook.server.requests) == 3


def test_the_model_searches_this_users_past(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "search_the_past.py",
        "With beets.",
        "Goat's cheese.",
        "Mine too.",
        Reply.tool_calls(("search_past_sessions", {})),
        Reply.tool_calls(("read_past_session", {"session_id": "march"})),
        "Borscht.",
    )
    listed, read, answer = printed.splitlines()
    assert listed.startswith("search_past_sessions {} -> ")
    assert listed.index("april") < listed.index("march")
    assert "How do I make borscht?" in listed
    assert "secret" not in listed
    assert "may" not in json.dumps([each["session_id"] for each in found(listed)])
    assert "With beets." in read
    assert answer == "Borscht."


def found(line: str) -> list[dict[str, str]]:
    """Return the sessions that were found, whether they are the whole answer or a part of it."""
    answer = json.loads(line.partition(" -> ")[2])
    sessions: list[dict[str, str]] = answer if isinstance(answer, list) else answer["sessions"]
    return sessions


def test_the_model_reads_its_own_history(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "look_back.py",
        Reply.tool_calls(("roll", {"sides": 20})),
        "A 20.",
        Reply.tool_calls(("get_chat_history", {}), ("get_tool_call_history", {})),
        "For the dragon; 20.",
    )
    chat, calls, answer = printed.splitlines()
    assert chat.startswith("get_chat_history -> ")
    assert "Roll for the dragon." in chat
    assert "roll" in calls
    assert "20" in calls
    assert answer == "For the dragon; 20."


def test_asynchronous_databases_are_awaited(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "asynchronous.py", "Sunny.", "A jam.")
    assert printed.splitlines() == [
        "show ['Sunny.', 'A jam.']",
        "4 messages",
        "Morning show",
        "None",
    ]
