"""The scripts of cookbook/02_agents/04_state do what they say."""

import json
from typing import Any

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/04_state/"


def pack(item: str) -> Reply:
    return Reply.tool_calls(("pack", {"item": item}))


def test_a_tool_changes_the_state(cookbook: Cookbook) -> None:
    script = HERE + "packing_list.py"
    printed = cookbook(script, pack("torch"), "Done.", pack("tin opener"), "Done again.")
    assert printed.splitlines() == [
        "Help to pack for 3 days. On the list so far: []",
        "Done.",
        'Help to pack for 3 days. On the list so far: ["torch"]',
        "Done again.",
        "kept: ['torch', 'tin opener'] True",
    ]
    again = cookbook(script, "Nothing new.", "Still nothing.")  # in another process
    assert "kept: ['torch', 'tin opener'] True" in again


def test_a_run_brings_state_along(cookbook: Cookbook) -> None:
    greet = Reply.tool_calls(("greet", {}))
    printed = cookbook(HERE + "state_of_a_run.py", greet, "Hello.", greet, "Bye.")
    assert printed.splitlines() == [
        "stored: [('greeting', 'Good evening'), ('table', 4)]",
        "of the event: [('greeting', 'Good night'), ('table', 4)]",
    ]
    assert "Good evening, Vera! Table 4." in str(cookbook.server.requests[1].body)
    assert "Good night, Vera! Table 4." in str(cookbook.server.requests[3].body)


def test_the_model_keeps_the_state(cookbook: Cookbook) -> None:
    updates = {"session_state_updates": {"goal_km": 10, "last_km": 4}}
    call = Reply.tool_calls(("update_session_state", updates))
    printed = cookbook(HERE + "model_keeps_state.py", call, "Noted.", "4 of 10.")
    assert printed == "Noted.\n10 4\n4 of 10.\n"
    last = cookbook.server.requests[2].body
    assert "goal_km" in str(last["input"][0]) + str(last.get("instructions"))
    assert "update_session_state" in json.dumps(last["tools"])


def test_state_is_changed_between_runs(cookbook: Cookbook) -> None:
    script = HERE + "change_from_outside.py"
    first, second = cookbook(script, "First?", "Second?", "First?").splitlines()
    assert first.endswith("round 2. Ask the next question.")
    assert "'red': 1" in first or '"red": 1' in first
    assert second == "{'round': 1}"


def test_two_runs_at_once_lose_nothing(cookbook: Cookbook) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        told = json.dumps(body["input"])
        if "function_call_output" in told:
            return Reply.text("Noted.")
        crop, kilos = ("beets", 300) if "beets" in told else ("pears", 120)
        arguments = {"crop": crop, "kilos": kilos}
        return Reply.tool_calls(("note_harvest", arguments)).slow(delay=0.2)

    cookbook.server.default = answer
    printed = cookbook(HERE + "two_at_once.py")
    assert printed.splitlines() == [
        "COMPLETED Noted.",
        "COMPLETED Noted.",
        "[('beets', 300), ('pears', 120), ('season', 'autumn')]",
    ]


def test_a_killed_process_counts_nothing_twice(cookbook: Cookbook) -> None:
    first, second = (Reply.tool_calls(("count", {"shelf": shelf})) for shelf in "AB")
    script = HERE + "counted_once.py"
    printed = cookbook.kill(script, first, at=2)
    assert printed.text == "counted A\n"
    again = cookbook(script, second, "42 jars.", KERN_HEARTBEAT="0.5")
    assert again == "counted B\nCOMPLETED 42 jars.\n{'jars': 42}\n"
