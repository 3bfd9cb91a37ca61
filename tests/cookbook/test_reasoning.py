"""The scripts of cookbook/02_agents/28_reasoning do what they say."""

import json

from cookbook_scripts import Cookbook

HERE = "02_agents/28_reasoning/"


def thoughts(*reasonings: str) -> str:
    """Return what a model answers that has thought in steps."""
    steps = [
        {
            "title": f"Step {number}",
            "action": None,
            "result": None,
            "reasoning": reasoning,
            "next_action": "continue",
            "confidence": 0.8,
        }
        for number, reasoning in enumerate(reasonings, 1)
    ]
    return json.dumps({"steps": steps})


def test_a_second_model_thinks_first(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "second_model.py", thoughts("Bled.", "19:40 back."), "To Bled.")
    assert printed.splitlines() == [
        "Step 1 (80%): Bled.",
        "Step 2 (80%): 19:40 back.",
        "To Bled.",
        "{'model': 'gpt-5.4-mini', 'reasoning_model': 'gpt-5.4'}",
    ]
    thinks, answers = cookbook.server.requests
    assert (thinks.body["model"], answers.body["model"]) == ("gpt-5.4", "gpt-5.4-mini")
    assert "1. Step 1: Bled." in str(answers.body["input"])


def test_each_step_is_an_event(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "in_steps.py", thoughts("Heat tells.", "Feel it."), "The warm one.")
    assert printed.splitlines() == [
        "thinks: Step 1: Heat tells.",
        "thinks: Step 2: Feel it.",
        "The warm one.",
    ]


def test_an_agent_thinks_for_another(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "another_agent.py", thoughts("Everything?"), "No.")
    assert printed == "thought: 1. Step 1: Everything?\nanswered: No.\n"
    assert "speaks against" in str(cookbook.server.requests[0].body)
