"""The scripts of cookbook/02_agents/08_hooks do what they say."""

from cookbook_scripts import Cookbook

HERE = "02_agents/08_hooks/"


def test_hooks_change_input_and_answer(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "before_and_after.py", "Ripe ones.")
    assert printed == "asked: 2 kilograms pears please\nRipe ones.\n-- Fruit stall\n"
    assert "2 kilograms pears please" in str(cookbook.server.requests[0].body)


def test_a_hook_is_a_function_or_an_object(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "kinds.py", "Good evening.", "Not yet.")
    assert printed.splitlines() == [
        "zoe comes through the front door, to club",
        "zoe comes through the roof, to club",
        "Not yet.",
        "[('longest', 13), ('visits', 2)]",
    ]


def test_a_killed_run_does_not_call_a_hook_again(cookbook: Cookbook) -> None:
    script = HERE + "run_once.py"
    assert cookbook.kill(script, at=1).text == "invoice for: A will for Mr Grey.\n"
    again = cookbook(script, "It is drawn up.", KERN_HEARTBEAT="0.5")
    assert again == "filed: It is drawn up.\nCOMPLETED\n"


def test_a_hook_may_take_its_time_or_fail(cookbook: Cookbook) -> None:
    printed = cookbook.run(HERE + "beside_the_run.py", "At nine.")
    assert printed.text == "COMPLETED At nine.\narchived: At nine.\n"
    assert "The notice board does not answer." in printed.errors
    assert "ERROR" not in printed.errors
    assert "Traceback" not in printed.errors


def test_a_wrong_hook_is_refused(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "refused.py")
    assert "run_inputs" in printed
    assert "run_input" in printed.replace("run_inputs", "")
    assert "check" in printed
