"""The scripts of cookbook/02_agents/25_memory do what they say."""

import json

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/25_memory/"


def added(text: str, *topics: str) -> Reply:
    return Reply.tool_calls(("add_memory", {"memory": text, "topics": topics}))


def fewer(*texts: str) -> str:
    return json.dumps({"memories": [{"memory": each, "topics": []} for each in texts]})


def test_a_user_is_remembered(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "remember.py",
        "Good to know.",
        added("Has a garden in the shade.", "garden"),
        "Ferns.",
        "Nothing new.",
        "What is your garden like?",
        "Nothing.",
    )
    assert printed.splitlines() == [
        "Has a garden in the shade. ['garden']",
        "Mia's run is told: True",
        "Leo's run is told: False",
    ]


def test_the_model_decides_what_to_remember(cookbook: Cookbook) -> None:
    task = "Remember: short at the sides."
    printed = cookbook(
        HERE + "by_a_tool.py",
        Reply.tool_calls(("update_user_memory", {"task": task})),
        added("Wears the sides short."),
        "As always, then.",
    )
    assert printed.splitlines() == [
        f"update_user_memory {{'task': '{task}'}} -> Remembered: Wears the sides short.",
        "As always, then.",
        "['Wears the sides short.']",
    ]


def test_a_manager_of_ones_own_keeps_and_forgets(cookbook: Cookbook) -> None:
    forgotten = Reply.tool_calls(
        ("delete_memory", {"memory_id": "1"}), ("add_memory", {"memory": "Has read Emma."})
    )
    printed = cookbook(
        HERE + "own_manager.py", "Good.", added("Has read Middlemarch."), "Noted.", forgotten
    )
    assert printed.splitlines() == [
        "['Has read Middlemarch.']",
        "['Has read Emma.']",
        "['memory_model', 'model']",
    ]
    models = [request.body["model"] for request in cookbook.server.requests]
    assert models == ["gpt-5.4-mini", "gpt-5.4-nano"] * 2
    assert "which books" in str(cookbook.server.requests[1].body)


def test_a_manager_alone_does_all_of_it(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "without_an_agent.py",
        added("Is free on Mondays only."),
        Reply.tool_calls(("delete_memory", {"memory_id": "2"})),
        '{"numbers": [1, 7]}',
    )
    assert printed.splitlines() == [
        "['Rides Bruno.']",
        "Remembered: Is free on Mondays only.",
        "Forgotten: Rides Bruno.",
        "['Is free on Mondays only.']",
        "['Is free on Mondays only.']",
        "1 []",
    ]


def test_the_database_searches_counts_and_erases(cookbook: Cookbook) -> None:
    assert cookbook(HERE + "look_and_forget.py").splitlines() == [
        "['Sings bass.', 'Sings alto.']",
        "['Is away in July.']",
        "['time', 'voice']",
        "{'ben': 1, 'ana': 2} 2",
        "2 ['Sings bass.']",
    ]


def test_fewer_memories_are_made(cookbook: Cookbook) -> None:
    made = fewer("Was in Oslo in May.", "Prefers trains.")
    assert cookbook(HERE + "fewer.py", made, made).splitlines() == [
        "would be: ['Was in Oslo in May.', 'Prefers trains.']",
        "are: 3",
        "are: ['Prefers trains.', 'Was in Oslo in May.']",
    ]


def test_a_killed_run_remembers_once(cookbook: Cookbook) -> None:
    script = HERE + "remembered_once.py"
    assert cookbook.kill(script, "Noted in red.", at=2).text == ""
    again = cookbook(script, added("Cannot take penicillin."), KERN_HEARTBEAT="0.5")
    assert again == "COMPLETED Noted in red.\n['Cannot take penicillin.']\n"
    assert len(cookbook.server.requests) == 3
