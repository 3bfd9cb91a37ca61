"""The scripts of cookbook/02_agents/07_durable_steps do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/07_durable_steps/"


def test_a_killed_tool_does_its_steps_once(cookbook: Cookbook) -> None:
    script = HERE + "bake_once.py"
    call = Reply.tool_calls(("bake", {"kilos": 2}))
    printed = cookbook.kill(script, call, when="the oven is on\n")
    assert printed.text == "kneading\nthe oven is on\n"
    again = cookbook(script, "Bread!", KERN_HEARTBEAT="0.5")
    assert again == "the oven is on\nCOMPLETED 2.0 kg of bread from a hot oven | Bread!\n"
    assert len(cookbook.server.requests) == 2


def test_a_synchronous_tool_has_steps(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("develop_all", {"rolls": ["a", "b"]}))
    printed = cookbook(HERE + "synchronous.py", call, "Here they are.")
    assert printed.splitlines() == [
        "developing a",
        "developing b",
        "A: 36 pictures; B: 36 pictures",
        "Here they are.",
    ]


def test_a_step_is_tried_again(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("ask_office", {"number": "555 0100"}))
    printed = cookbook(HERE + "patient.py", call, "At nine.")
    assert printed == "The office opens at nine. (3 tries)\nAt nine.\n"


def test_a_sleep_outlives_the_process(cookbook: Cookbook) -> None:
    script = HERE + "come_back_later.py"
    call = Reply.tool_calls(("grow", {"seed": "cress"}))
    printed = cookbook.kill(script, call, when="waiting\n")
    assert printed.text == "sown\nwaiting\n"
    again = cookbook(script, "It is green.", KERN_HEARTBEAT="0.5").splitlines()
    assert "sown" not in again
    assert again[-1] == "COMPLETED cress: sprouted | It is green."
