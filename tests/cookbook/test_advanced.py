"""The scripts of cookbook/02_agents/14_advanced do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/14_advanced/"


def test_the_shortest_background_agent_survives_a_kill(cookbook: Cookbook) -> None:
    script = HERE + "in_two_minutes.py"
    assert cookbook.kill(script, at=1, when="PENDING\n").text == "PENDING\n"
    again = cookbook(script, "Rivers bring salt.", KERN_HEARTBEAT="0.5")
    assert again.splitlines()[-1] == "COMPLETED Rivers bring salt."


def test_a_stream_is_read_on(cookbook: Cookbook) -> None:
    tale = ("A mole dug. ", "It rained. ", "The end.")
    printed = cookbook(HERE + "read_later.py", Reply.text(*tale)).splitlines()
    assert printed[:2] == ["read: RunStarted", "meanwhile: COMPLETED"]
    texts = [line.removeprefix("text: ") for line in printed if line.startswith("text: ")]
    assert "".join(texts) == "".join(tale)
    assert printed[-1] == f"end: {''.join(tale)}"


def test_a_run_is_cancelled_by_its_id(cookbook: Cookbook) -> None:
    fog = Reply.text("Fog ", "is cloud.").held(1)
    printed = cookbook(HERE + "cancel_from_anywhere.py", fog)
    assert printed == "so far: Fog \nknown: True\ncancelled: True\nevent: True\n"
    cookbook.server.wait_for_disconnects_sync(1)


def test_a_place_of_the_users_is_asked(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "own_cancellation_manager.py", "Good evening.", Reply.tool_calls(("ring", {}))
    )
    assert printed.splitlines() == [
        "begins: evening",
        "ends: evening",
        "COMPLETED",
        "begins: bell",
        "ends: bell",
        "CANCELLED",
    ]
