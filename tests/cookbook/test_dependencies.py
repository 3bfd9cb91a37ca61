"""The scripts of cookbook/02_agents/10_dependencies do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/10_dependencies/"


def test_functions_are_called_once_a_run(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("price", {"dish": "trout"}))
    printed = cookbook(HERE + "values_and_functions.py", call, "Eleven.", "Soup.")
    first, result, second, looked_up = printed.splitlines()
    assert first.startswith("Today there is: [")
    assert "trout" in first
    assert result == "11 euros Eleven."
    assert second.startswith("Today there is: [")
    assert "soup" in second
    assert looked_up == "looked up: 1"


def test_dependencies_are_told(cookbook: Cookbook) -> None:
    printed = cookbook.run(HERE + "told_to_the_model.py", "We sail.")
    assert printed.text == "asked: Do we sail?\nWe sail.\n"
    told = json.dumps(cookbook.server.requests[0].body["input"])
    assert all(part in told for part in ("Do we sail?", "wind_knots", "14", "crew"))
    assert "The barometer does not answer." in printed.errors
    assert "ERROR" not in printed.errors


def test_dependencies_have_types(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("exchange", {"euros": 100, "currency": "DKK"}))
    printed = cookbook(HERE + "typed.py", call, '{"amount": 731.08, "currency": "DKK"}')
    assert printed == "731.08\n731.08 DKK\n"


def test_dependencies_of_a_run_outlive_the_process(cookbook: Cookbook) -> None:
    script = HERE + "in_the_background.py"
    printed = cookbook.kill(script, Reply.tool_calls(("look_up", {})), at=2)
    assert printed.text.startswith("refused: dependencies ")
    again = cookbook(script, "A great day.", KERN_HEARTBEAT="0.5").splitlines()
    assert again[-1] == "the bridge was opened | A great day."
