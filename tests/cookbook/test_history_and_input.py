"""The scripts of cookbook/02_agents/03_history_and_input do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/03_history_and_input/"


def test_the_model_is_shown_the_last_two_runs(cookbook: Cookbook) -> None:
    answers = ("Lem.", "Polish.", "Fiasco.", "The Invincible.")
    printed = cookbook(HERE + "follow_up.py", *answers).splitlines()
    assert [line.rpartition(" (")[2] for line in printed] == [
        f"{count} messages of history)" for count in (0, 2, 4, 4)
    ]
    last = str(cookbook.server.requests[3].body)
    assert "Who wrote Solaris?" not in last
    assert "In which language?" in last


def test_old_messages_and_calls_are_left_out(cookbook: Cookbook) -> None:
    rivers = ("Elbe", "Oder", "Spree")
    answers: list[Reply | str] = []
    for river in rivers:
        answers += [Reply.tool_calls(("level", {"river": river})), f"The {river} is low."]
    printed = cookbook(HERE + "short_history.py", *answers, "Boots.", "Rope.", "Boots, rope.")
    calls, notes = printed.splitlines()
    assert calls == "2 results are shown in the last run: ['level', 'level']"
    assert notes == "['Bring a rope.', 'Rope.', 'What do I have to bring?', 'Boots, rope.']"
    last = str(cookbook.server.requests[5].body)
    assert "1.9 m" not in last
    assert "2.4 m" in last
    assert "The Elbe is low." in last


def test_input_has_many_forms(cookbook: Cookbook) -> None:
    forms = ("text", "list", "message", "messages", "dict", "pydantic", "parts")
    printed = cookbook(HERE + "input_forms.py", *(f"It is {form}." for form in forms))
    assert printed == "".join(f"{form}: It is {form}.\n" for form in forms)
    told = [str(each.body["input"]) for each in cookbook.server.requests]
    assert "The cellar is dry." in told[1]
    assert "Gate needs a little oil." in told[3]
    assert "subject" in told[4]
    assert "Windows" in told[4]
    assert "The tenants" in told[5]
    assert "https://example.com/stairs.png" in told[6]
    assert "input_image" in told[6]


def test_input_is_checked_before_the_run(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "checked_input.py", "A blue one.", "A red one.")
    assert printed.startswith("A blue one.\nA red one.\nrefused: ")
    assert "grams" in printed
    assert "Lima" in str(cookbook.server.requests[0].body)


def test_a_script_goes_on_with_its_conversation(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "conversations.py", "Sure.", "Oat.", "One espresso.", "Tea.", "Two.")
    assert printed.splitlines() == [
        "the script's own: True",
        "messages so far: 4",
        "ada's alone: ['An espresso.', 'Make it a double.']",
        "all different: True",
    ]
    assert "A flat white" in str(cookbook.server.requests[1].body)
    assert "flat white" not in str(cookbook.server.requests[4].body)
    assert "Tea" not in str(cookbook.server.requests[4].body)
