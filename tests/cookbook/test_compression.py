"""The scripts of cookbook/02_agents/29_compression do what they say."""

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/29_compression/"


def test_long_results_are_shortened(cookbook: Cookbook) -> None:
    calls = [("log_of", {"day": day}) for day in ("Monday", "Tuesday")]
    printed = cookbook(
        HERE + "shorter_results.py", Reply.tool_calls(*calls), "11 to 17.", "11 to 17.", "Neither."
    )
    *results, answer, stats = printed.splitlines()
    assert [each.partition(" ")[2] for each in results] == ["characters, told as: 11 to 17."] * 2
    assert answer == "Neither."
    assert "'tool_results_compressed': 2" in stats
    names = [each.body["model"] for each in cookbook.server.requests]
    assert names == ["gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.4-nano", "gpt-5.4-mini"]
    assert "wind calm" not in str(cookbook.server.requests[-1].body["input"])


def test_a_long_conversation_is_summed_up(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "long_conversation.py",
        "Heavy.",
        "Ferns?",
        "None.",
        "Clay, shade, no roses.",
        "Ferns!",
    )
    assert printed.splitlines() == [
        *("Heavy.", "Ferns?", "None.", "Ferns!"),
        "told now: Clay, shade, no roses.",
        "said so far: 8 messages",
    ]
    last = str(cookbook.server.requests[-1].body["input"])
    assert "Clay, shade, no roses." in last
    assert "much shade" not in last
    assert "No roses, please." in last


def test_a_session_is_summed_up_on_demand(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "sum_up.py", "Hi.", "Fine.", "Two, a dog, rain.", "To Bergen.")
    assert printed == "summary: Two, a dog, rain.\nTo Bergen.\n"
    last = str(cookbook.server.requests[-1].body["input"])
    assert "Two, a dog, rain." in last
    assert "We like rain." not in last
