"""The scripts of cookbook/02_agents/01_first_agents do what they say."""

import re

from cookbook_scripts import Cookbook

from kern.testing import Reply

HERE = "02_agents/01_first_agents/"


def test_an_answer_is_printed_whole_and_as_it_comes(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "hello.py",
        "In the **British Museum** in London.",
        Reply.text("In the ", "*Rijksmuseum*."),
    )
    assert "Where is the Rosetta Stone shown?" in printed
    assert "In the British Museum in London." in printed
    assert "In the Rijksmuseum." in printed
    assert [bool(each.body.get("stream")) for each in cookbook.server.requests][1]
    assert "markdown" in str(cookbook.server.requests[0].body).lower()


def test_calls_and_time_are_shown_without_the_question(cookbook: Cookbook) -> None:
    printed = cookbook(
        HERE + "live_answer.py",
        Reply.tool_calls(("departures", {"city": "Oslo"})),
        "- 07:12\n- 12:40",
    )
    assert "departures" in printed
    assert "Oslo" in printed
    assert "12:40" in printed
    assert re.search(r"\d\.\d+ ?s", printed)
    assert "When does the ferry" not in printed


def test_an_output_is_printed_after_the_run(cookbook: Cookbook) -> None:
    verse = "The lamp goes round."
    printed = cookbook(HERE + "print_a_run.py", verse)
    assert printed.count(verse) == 3
    assert "COMPLETED Poet gpt-5.4-mini" in printed
    assert "tokens: 10 + 5" in printed
    assert "system: You write verses of four lines." in printed
    assert "user: A verse about a lighthouse." in printed
    assert f"assistant: {verse}" in printed


def test_a_stream_has_the_text_and_all_events(cookbook: Cookbook) -> None:
    call = Reply.tool_calls(("tide", {"harbour": "Leith"}))
    printed = cookbook(HERE + "events.py", Reply.text("At ", "14:20."), call, "At two.")
    assert printed.startswith("At 14:20.\n\n")
    events = [line for line in printed.splitlines() if re.fullmatch(r"[A-Z]\w+", line)]
    assert events[0] == "RunStarted"
    assert events[-1] == "RunCompleted"
    assert events.index("ToolCallStarted") < events.index("ToolCallCompleted")
    assert "tide Leith High tide at Leith: 14:20." in printed
    assert printed.endswith("   At two.\noutput: At two.\n")


def test_the_log_goes_through_the_users_logger(cookbook: Cookbook) -> None:
    printed = cookbook(HERE + "own_logger.py", "Lemon rice.")
    assert "kitchen INFO The kitchen opens." in printed
    assert "kitchen DEBUG" in printed
    assert printed.endswith("Lemon rice.\n")


def test_a_wrong_keyword_names_the_right_one(cookbook: Cookbook) -> None:
    first, second, answer = cookbook(HERE + "wrong_keyword.py", "In October.").splitlines()
    assert "instruction" in first
    assert "instructions" in first.replace("'instruction'", "")
    assert "session_id" in second
    assert answer == "In October."
