"""The scripts of cookbook/02_agents/19_branches do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/19_branches/"


def test_a_run_goes_another_way(cookbook: Cookbook) -> None:
    look = Reply.tool_calls(("look_up", {"town": "Weimar"}))
    printed = cookbook(HERE + "another_way.py", look, "A town.", "O town!")
    assert printed.splitlines() == [
        "looked up: Weimar",
        "A town.",
        "nothing to do: True",
        "O town!",
        "True True",
        "from message 4 of 4",
        "as it was: A town.",
    ]
    told = str(cookbook.server.requests[2].body["input"])
    assert "one theatre" in told
    assert "as a poem" in told


def test_a_run_begins_at_a_message(cookbook: Cookbook) -> None:
    throw = Reply.tool_calls(("dice", {"sides": 6}))
    printed = cookbook(
        HERE + "from_a_message.py", throw, "A five!", "You hit.", "You miss.", "You sleep."
    )
    assert printed.splitlines() == [
        "thrown",
        "['user', 'assistant', 'tool', 'assistant'] A five!",
        "after the throw: ['user', 'assistant', 'tool', 'assistant'] You hit.",
        "before it: ['user', 'assistant'] You miss.",
        "from the end: ['user', 'assistant', 'tool', 'assistant', 'user', 'assistant'] You sleep.",
    ]


def test_an_answer_is_made_once_more(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "once_more.py", "Grey.", "Silver.", "Pearls.", "Two lines.")
    lines = printed.splitlines()
    assert lines[:5] == [
        "Grey.",
        "Silver. True",
        "the first: REGENERATED",
        "Pearls.",
        "the second: COMPLETED",
    ]
    assert "Grey." not in lines[5]
    assert "Silver." in lines[5]
    assert "Pearls." in lines[5]
    assert "Without the word" in str(cookbook.server.requests[1].body["input"])


def test_a_conversation_is_copied(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "copy_a_session.py", "A map!", "Ash.", "North.")
    assert printed.splitlines() == [
        "['Ida finds a map.', 'She follows it.']",
        "2 2",
        "from: plot",
        "['Ida', 'Otto']",
    ]


def test_a_killed_run_is_continued_in_place(cookbook: Cookbook) -> None:
    script = HERE + "after_a_crash.py"
    printed = cookbook.kill(script, Reply.tool_calls(("dig", {"metres": 2})), at=2)
    assert printed.text == "digging\n"
    again = cookbook(script, "A lion.", KERN_HEARTBEAT="0.5")
    assert again == "trench-2 COMPLETED A lion.\n"
