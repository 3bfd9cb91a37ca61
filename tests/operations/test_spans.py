"""What a run has done is told as spans of time, as far as its journal was read."""

from datetime import UTC, datetime

import msgspec
from journaled import Journaled

from kern.execution.child import DELEGATE
from kern.knowledge import KnowledgeProgress
from kern.operations.span import MOST, Progress, Span
from kern.operations.spans import KNOWLEDGE_PROGRESS, Spans
from kern.reasoning.step import ReasoningStep, ReasoningSteps
from kern.run.base import RunStatus
from kern.run.beside_steps import ConversationCompacted, ResultsCompressed, Thought
from kern.run.custom import event_kind
from kern.run.message import Message, Metrics
from kern.run.record import JournalRow, RunRecord
from kern.run.requirement import RunRequirement
from kern.run.steps import (
    AttemptBegun,
    AttemptFailed,
    CallBegun,
    CallBroken,
    Continued,
    HookEnded,
    MessagesAdded,
    ModelAnswered,
    Paused,
    SecondaryAnswered,
    TextSlice,
)
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import (
    ChildBegun,
    ChildEnded,
    CustomHappened,
    SleepBegun,
    StepEnded,
    ToolEnded,
    ToolsBegun,
)

SEARCH, SEND = ToolCall("1", "search", '{"q": "heat"}'), ToolCall("2", "send", "{}")
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = RunRecord(
    "run", "session", "agent", None, RunStatus.running, 1, BEGUN, BEGUN, executor="process"
)


def rows_of(journaled: Journaled) -> list[JournalRow]:
    """Return the rows of a journal, one a second."""
    at = BEGUN.timestamp()
    return [
        msgspec.structs.replace(row, created_at=at + number)
        for number, row in enumerate(journaled.rows, 1)
    ]


def told(journaled: Journaled) -> list[Span]:
    """Return what is told of a journal, read at once; and make sure that it is so bit by bit."""
    rows = rows_of(journaled)
    spans, slowly = Spans(), Spans()
    spans.extend(RECORD, rows)
    slowly.extend(RECORD, [])
    for row in rows:
        slowly.extend(RECORD, [row])
    assert slowly.all == spans.all
    assert spans.last_seq == slowly.last_seq == rows[-1].seq
    return spans.all


def lines(spans: list[Span]) -> list[tuple[str, str, float | None, bool]]:
    """Return kind, title, seconds and whether it failed, of each span."""
    return [(each.kind, each.title, each.took, each.failed) for each in spans]


def test_a_call_of_a_model_is_a_span_with_what_it_used_and_its_tool_calls_after_it() -> None:
    journal = Journaled().answer("", SEARCH, SEND, starts=[0])
    journal.add(ToolEnded(0, "9%"), ToolsBegun((1,)), ToolEnded(1, "No.", error=True))
    journal.answer("The market grows.")
    spans = told(journal)
    assert lines(spans) == [
        ("attempt", "Attempt 1", 0, False),
        ("model", "", 1, False),
        ("tool", "search", 1, False),
        ("tool", "send", 1, True),
        ("model", "", 1, False),
    ]
    _, asks, search, send, answer = spans
    assert (asks.calls, asks.metrics and asks.metrics.total_tokens) == (2, 46)
    assert (search.arguments.beginning, search.text.beginning) == ('{"q": "heat"}', "9%")
    assert (search.asked_in, search.row, send.text.beginning) == ((1, 0), 2, "No.")
    assert answer.text.beginning == "The market grows."


def test_a_fork_after_a_span_keeps_it_and_does_what_comes_after_anew() -> None:
    journal = Journaled().answer("", SEARCH, SEND)
    journal.add(ToolEnded(0, "9%"), ToolEnded(1, "sent"))
    _, asks, search, send = told(journal)
    # RunStarted is 1, then ModelRequestStarted and its end; both calls begin with it.
    assert (asks.fork_from, search.fork_from, send.fork_from) == (3, 6, 7)


def test_what_is_under_way_has_no_end_and_its_text_grows() -> None:
    spans = Spans()
    spans.extend(RECORD, rows_of(Journaled(CallBegun()).say("The mar")))
    call = spans.all[-1]
    assert (call.kind, call.began, call.ended) == ("model", BEGUN.timestamp() + 1, None)
    assert (spans.written, spans.steps) == ("The mar", 0)
    spans.extend(RECORD, rows_of(Journaled(CallBegun()).say("The mar", "ket"))[2:])
    assert spans.written == "The market"
    whole = Journaled(CallBegun()).say("The mar", "ket").answer("The market grows.")
    spans.extend(RECORD, rows_of(whole)[3:])
    assert spans.written == ""
    assert [each.kind for each in spans.all] == ["attempt", "model"]
    assert (call.text.beginning, call.took, spans.steps) == ("The market grows.", 3, 1)


def test_attempts_that_are_lost_or_fail_and_calls_that_are_made_again_are_told() -> None:
    journal = Journaled().answer("", SEARCH)
    journal.add(AttemptBegun(2, (0,)), ToolEnded(0, "9%"), CallBegun(), TextSlice("The"))
    journal.add(AttemptFailed("It is away.", "ModelError"), AttemptBegun(3), CallBroken("The mar"))
    spans = told(journal)
    assert lines(told(Journaled(AttemptBegun(2)).answer("Hi")))[1:] == [
        ("attempt", "Attempt 2", 0, False),
        ("model", "", 1, False),
    ]
    assert lines(spans) == [
        ("attempt", "Attempt 1", 0, False),
        ("model", "", 1, False),
        ("tool", "search", 1, False),
        ("attempt", "Attempt 2", 0, False),
        ("model", "", 2, True),
        ("attempt", "Attempt failed: ModelError", 0, True),
        ("attempt", "Attempt 3", 0, False),
        ("model", "", 0, True),
    ]
    assert spans[2].note == "made again"
    assert spans[5].text.beginning == "It is away."


def test_a_tool_call_holds_its_steps_sleeps_and_its_run() -> None:
    journal = Journaled().answer("", SEARCH)
    until = BEGUN.timestamp() + 60
    journal.add(ChildBegun(0, "child"), StepEnded(0, "fetch", 0, '"page"'))
    journal.add(StepEnded(0, "parse", 0, "Broken.", "ValueError"), SleepBegun(0, 0, until))
    journal.add(ChildEnded(0, Metrics(total_tokens=5)), ToolEnded(0, "9%"))
    call = told(journal)[-1]
    assert (call.run_id, call.metrics) == ("child", Metrics(total_tokens=5))
    assert [(each.kind, each.title, each.failed) for each in call.inside] == [
        ("step", "fetch", False),
        ("step", "parse", True),
        ("sleep", "sleep", False),
    ]
    assert call.inside[-1].took == 55


def test_a_pause_lasts_until_somebody_answers() -> None:
    asked = RunRequirement("run/1/0", "confirmation", ToolExecution("1", "search", "{}"))
    journal = Journaled().answer("", SEARCH, starts=[]).add(Paused((asked,)))
    assert lines(told(journal))[-1] == ("pause", "Waits for a person", None, False)
    journal.add(Continued((0,), by="mia"), ToolsBegun((0,)), ToolEnded(0, "9%"))
    *_, call, pause = told(journal)
    assert (pause.took, pause.note, pause.text.beginning) == (
        1,
        "by mia",
        "confirmation of search({})",
    )
    assert (call.began, call.took) == (BEGUN.timestamp() + 4, 1)
    journal.add(Continued(by="ada"))
    assert told(journal)[-1].note == "by ada"


def test_hooks_and_other_models_are_told() -> None:
    journal = Journaled(HookEnded("pre", 0, "check")).answer("Hello")
    said = journal.state.turns[-1].message
    journal.add(SecondaryAnswered("output_model", said, Metrics(), "small"))
    assert lines(told(journal))[1:] == [
        ("hook", "check", 1, False),
        ("model", "", 1, False),
        ("model", "output model", 1, False),
    ]


def test_what_models_are_asked_beside_the_answer_is_told_as_people_read_it() -> None:
    journal = Journaled(Thought(ReasoningSteps([ReasoningStep("Plan", reasoning="Read.")])))
    journal.answer("", SEARCH).add(ToolEnded(0, "9%"))
    journal.add(ResultsCompressed(((0, 0, "9"),), before=2000))
    journal.add(ConversationCompacted("Sum.", "", replaced=7, tokens_before=900, tokens_after=50))
    journal.answer("Done.")
    memory = '{"key": "run", "told": "Remembered: Is called Ada.", "changes": []}'
    for name, text in (
        ("memory_model", memory),
        ("session_summary", '{"summary": "A talk.", "topics": []}'),
        ("followups", '{"followups": ["Why?", "When?"]}'),
    ):
        journal.add(SecondaryAnswered(name, Message("assistant", text), Metrics(), "small"))
    found = [each for each in told(journal) if each.kind == "model" and each.title]
    assert [(each.title, each.text.beginning, each.note) for each in found] == [
        ("reasoning", "1. Plan: Read.", ""),
        ("shorter results", "9", "2,000 characters to 1"),
        ("summary of the conversation", "Sum.", "7 messages, about 900 tokens to 50"),
        ("memory", "Remembered: Is called Ada.", "small"),
        ("session summary", "A talk.", "small"),
        ("follow-up questions", "Why?\nWhen?", "small"),
    ]


def test_a_member_of_a_team_and_a_run_in_the_background_are_named() -> None:
    task = ToolCall("1", DELEGATE, '{"member_id": "pilot", "task": "The tide?"}')
    journal = Journaled().answer("", task, SEND, SEARCH)
    journal.add(ChildBegun(0, "child"), ChildBegun(1, "other", background=True))
    journal.add(AttemptBegun(2, (0,)), ToolEnded(0, "High."), ToolEnded(1, "Begun."))
    message = Message("user", "The run other is COMPLETED.")
    journal.add(ToolEnded(2, "9%"), MessagesAdded((message,), ("1",)))
    spans = told(journal)
    assert [(each.kind, each.title, each.run_id) for each in spans[2:5]] == [
        ("member", "pilot", "child"),
        ("agent", "send", "other"),
        ("tool", "search", None),
    ]
    assert [each.note for each in spans[2:5]] == ["made again", "in the background", ""]
    assert spans[2].arguments.beginning == "The tide?"
    assert (spans[-1].kind, spans[-1].text.beginning) == ("told", message.text)


def test_a_load_says_how_far_it_has_come_content_by_content() -> None:
    assert event_kind(KnowledgeProgress()) == KNOWLEDGE_PROGRESS
    journal = Journaled().answer("", ToolCall("1", "load", "{}"))
    for name, status, chunks, done in (
        ("ferns.md", "processing", 64, 0),
        ("moss.md", "processing", 64, 0),
        ("ferns.md", "completed", 70, 1),
        ("lichen.bin", "failed", 0, 2),
    ):
        values = {"name": name, "status": status, "chunks": chunks, "done": done, "total": 3}
        journal.add(CustomHappened(0, KNOWLEDGE_PROGRESS, values))
    journal.add(CustomHappened(0, KNOWLEDGE_PROGRESS, {"name": 5}))
    journal.add(CustomHappened(0, "app:Mine", {"a": 1}))
    call = told(journal)[-1]
    assert call.progress == Progress(2, 3, "lichen.bin")
    assert [(each.kind, each.title, each.note, each.took, each.failed) for each in call.inside] == [
        ("content", "ferns.md", "70 chunks", 2, False),
        ("content", "moss.md", "64 chunks", None, False),
        ("content", "lichen.bin", "0 chunks", 0, True),
        ("event", "Mine", "", 0, False),
    ]


def test_of_a_long_text_a_span_keeps_the_beginning() -> None:
    journal = Journaled().answer("x" * (MOST + 5))
    text = told(journal)[-1].text
    assert (len(text.beginning), text.size, text.is_whole) == (MOST, MOST + 5, False)


def test_a_damaged_row_is_told_and_those_after_it_too() -> None:
    rows = rows_of(Journaled().answer("", SEARCH).add(ToolEnded(0, "9%")).answer("Done."))
    rows[0] = msgspec.structs.replace(rows[0], payload='{"message": 5}')
    spans = Spans()
    spans.extend(RECORD, rows)
    assert [each.kind for each in spans.all] == ["attempt", "damage", "damage", "model"]
    assert "Row 1 of the journal of run run is damaged" in spans.all[1].text.beginning


def test_what_has_not_begun_has_no_spans_and_a_retried_run_begins_where_it_first_did() -> None:
    waiting = msgspec.structs.replace(RECORD, executor=None, started_at=None)
    spans = Spans()
    spans.extend(waiting, [])
    assert spans.all == []
    later = msgspec.structs.replace(RECORD, started_at=datetime(2026, 2, 1, tzinfo=UTC))
    spans.extend(later, rows_of(Journaled().answer("Hello")))
    assert spans.all[0].began == BEGUN.timestamp() + 1
    assert isinstance(spans.state.turns[0].answered, ModelAnswered)
