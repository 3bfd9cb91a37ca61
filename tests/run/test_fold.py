"""A run's events have gapless numbers, the same for every reader, in every process, at any age.

Lives of runs are made up: attempts that end in every way there is, calls that are broken off and
made again, texts in any pieces, pauses and retries; and readers that come at any moment, of whom
some read from memory, some from the database.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from journals import answer, row
from msgspec import to_builtins
from msgspec.structs import replace

from kern.db.base import Store
from kern.db.values import Appended, Settled
from kern.dispatch.answer import Answer
from kern.dispatch.resuming import decide
from kern.dispatch.streams import Reader
from kern.errors import JournalError, ModelError
from kern.execution import journal as journal_module
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.settling import postpone, release, settle, sleep
from kern.execution.spec import Spec
from kern.models.base import ModelResponse
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import encode, join_halves
from kern.run.cut import row_of_event
from kern.run.entry import read_row
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.fold import RunState, apply_entry, fold
from kern.run.happened import FIRST_EVENT, Happened, ending_of
from kern.run.message import Message, Metrics
from kern.run.record import JournalRow, RunRecord, Settlement
from kern.run.requirement import RunRequirement
from kern.run.steps import (
    PIECE_KINDS,
    AnswerRefused,
    AnyStep,
    AttemptBegun,
    CallBegun,
    CallBroken,
    Continued,
    Paused,
    SecondaryAnswered,
    TextSlice,
)
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import SleepBegun, StepEnded, ToolEnded

NOW = datetime(2026, 1, 1, tzinfo=UTC)

PENDING, RUNNING, PAUSED = RunStatus.pending, RunStatus.running, RunStatus.paused
COMPLETED, ERROR, CANCELLED = RunStatus.completed, RunStatus.error, RunStatus.cancelled

# Halves of a pair may come in two pieces: a provider cuts its text where it likes.
ENDS = (
    RunEvent.run_completed,
    RunEvent.run_cancelled,
    RunEvent.run_error,
    RunEvent.run_paused,
)

PIECES = ["Hi ", "there", "🦊", "", "\x00", "\ud83d", "\ude00", "a\ud83d", "\ude00b"]


class Rows:
    """Keeps rows as a database does; and ``all`` of them, with the pieces that it deletes."""

    def __init__(self, record: Callable[[], RunRecord]) -> None:
        self.record = record
        self.rows: dict[int, JournalRow] = {}
        self.all: dict[int, JournalRow] = {}

    def add(self, rows: Sequence[JournalRow]) -> None:
        for each in rows:
            self.rows.setdefault(each.seq, replace(each, created_at=float(each.seq)))
            self.all.setdefault(each.seq, self.rows[each.seq])

    def delete_pieces(self, before: int) -> None:
        self.rows = {
            seq: each
            for seq, each in self.rows.items()
            if seq >= before or each.type not in PIECE_KINDS
        }

    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> Appended:
        for _ in range(3):  # Much may happen meanwhile.
            await asyncio.sleep(0)
        self.add(rows)
        return Appended()

    async def settle(self, settlement: Settlement) -> Settled:
        self.add(settlement.journal)
        self.delete_pieces(settlement.fold_before)
        return Settled(settlement.status, NOW)

    async def postpone(
        self,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        *,
        failed: bool = True,
    ) -> RunStatus:
        self.add(rows)
        return PENDING

    async def release(self, run_id: str, attempt: int) -> RunStatus:
        return PENDING

    async def children(self, run_id: str) -> list[str]:
        return []

    async def read(self, run_id: str) -> bool:
        return True

    async def get(self, run_id: str) -> RunRecord:
        await asyncio.sleep(0)
        return self.record()

    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return [self.rows[seq] for seq in sorted(self.rows) if seq > after]


def told(event: RunOutputEvent | Happened) -> tuple[object, ...]:
    """Return what every reader must be told of an event alike."""
    more = event.more if isinstance(event, Happened) else to_builtins(event)
    failure = [more.get(name) for name in ("error_type", "error_id", "additional_data")]
    return event.seq, event.event, event.content, event.tool, list(event.requirements), failure


class Life:
    """A run's life, as chance will have it."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.rows = Rows(lambda: self.record)
        self.store = cast(Store, self.rows)
        self.number = 0
        self.attempt: Attempt | None = None
        self.status = PENDING
        self.error: str | None = None
        self.failure: tuple[str | None, dict[str, object] | None] = (None, None)
        self.readers: list[tuple[int, Reader, list[tuple[object, ...]]]] = []
        self.followers: list[tuple[int, asyncio.Task[None], list[tuple[object, ...]]]] = []
        self.emitted: list[tuple[object, ...]] = []

    def one_of(self, *choices: str) -> str:
        chosen = self.chance.choice(choices)
        note(chosen)
        return chosen

    def yes(self) -> bool:
        return self.chance.random() < 0.5

    def some(self, places: Iterable[int]) -> tuple[int, ...]:
        return tuple(place for place in places if self.yes())

    @property
    def journal(self) -> Journal:
        assert self.attempt is not None
        return self.attempt.journal

    @property
    def record(self) -> RunRecord:
        kind, details = self.failure
        told = {"message": self.error, "details": details}
        error = None if self.error is None else encode(told, "error")
        return RunRecord(
            *("run", "session", "agent", None, self.status, self.number, NOW),
            error=error,
            error_kind=kind,
            executor="executor" if self.number else None,
        )

    # --- readers

    async def moment(self) -> None:
        """Time passes; somebody may come, or read on."""
        for _ in range(self.chance.randrange(5)):
            await asyncio.sleep(0)
        match self.one_of("nothing", "stream", "come", "follow", "read", "read"):
            case "stream" if self.attempt is not None:
                self.journal.stream()
            case "come":
                after, reader = self.reader()
                self.readers.append((after, reader, []))
            case "follow" if len(self.followers) < 3:
                after, reader = self.reader()
                found: list[tuple[object, ...]] = []
                task = asyncio.create_task(self.follow(reader, found))
                self.followers.append((after, task, found))
            case "read":
                await self.read()

    def reader(self) -> tuple[int, Reader]:
        after = self.chance.choice([0, 0, 1, 2, 3, 5, 8])
        return after, Reader(self.store, "run", after, lambda: self.attempt, asyncio.Event())

    async def follow(self, reader: Reader, found: list[tuple[object, ...]]) -> None:
        """Read until the run ends or pauses, at a leisurely pace."""
        async for event in reader.events(lambda: 0.0005):
            found.append(told(event))
            for _ in range(self.chance.randrange(3)):
                await asyncio.sleep(0)

    async def read_database(self, reader: Reader) -> list[tuple[object, ...]]:
        record = self.record
        found = [told(each) async for each in reader._from_database(record)]
        return found + (list(map(told, reader._end(record))) if record.status.is_terminal else [])

    async def read(self) -> None:
        for _, reader, found in self.readers:
            if self.attempt is not None and self.yes():
                is_settled = self.attempt.is_settled
                found += map(told, reader._from_memory(self.attempt, is_settled))
            elif self.yes():
                found += await self.read_database(reader)

    # --- attempts

    async def live(self) -> None:
        for _ in range(5):
            await self.execute()
            if self.status is not PENDING:
                break
        await self.look()

    async def execute(self) -> None:
        """Make an attempt at it, and have it end in any way."""
        self.number, self.status = self.number + 1, RUNNING
        self.error, self.failure = None, (None, None)
        emitted: list[RunOutputEvent] = []
        emit = emitted.append if self.yes() else None
        output = RunOutput("run", "session", "agent", status=RUNNING)
        journal = Journal(self.store, output, self.number, emit, self.yes())
        self.attempt = attempt = Attempt(
            cast(Spec, SimpleNamespace(store_media=True, retrying=None, session_rules=None)),
            "",
            output,
            self.store,
            journal,
            self.number,
        )
        journal.begin()
        for each in await self.rows.events("run", 0):
            journal.restore(each)
        if self.number > 1:
            await self.resume()
        is_well = True
        for _ in range(self.chance.randrange(1, 5)):
            await self.moment()
            turns = attempt.state.turns
            if attempt.state.is_answered or not is_well:
                break
            if turns and turns[-1].open_calls:
                await self.use_tools()
            else:
                is_well = await self.ask()
        await self.moment()
        if not await self.end(is_well):
            self.emitted += map(told, emitted)
        await self.moment()
        self.attempt = None
        await self.moment()
        if self.status in (ERROR, PAUSED) and self.one_of("resume", "resume", "leave") == "resume":
            self.rows.add((await decide(self.store, self.record, Answer())).rows)
            self.status = PENDING
            await self.moment()

    async def resume(self) -> None:
        turns = self.journal.state.turns
        begun = self.some(place for place, _ in turns[-1].open_calls) if turns else ()
        self.journal.break_call()
        self.journal.keep(AttemptBegun(self.number, begun))
        if self.yes():
            await self.journal.commit()

    async def ask(self) -> bool:
        """Have the model answer, or not; say whether it did."""
        journal = self.journal
        journal.begin_call()
        if self.yes():
            await journal.answer_kept(f"handle {self.number}")
        text = ""
        for _ in range(self.chance.randrange(5) if journal.is_read else 0):
            piece = self.one_of(*PIECES)
            text += piece
            journal.text(piece)
            await self.moment()
        match self.one_of("answer", "answer", "answer", "other answer", "break", "fail"):
            case "break":  # The call is made again in the same attempt.
                journal.break_call()
                await self.moment()
                return True
            case "fail":
                return False
            case "other answer":
                text = self.one_of(*PIECES)
        calls = [
            ToolCall(f"{self.number}/{place}", "work", "{}")
            for place in range(self.chance.randrange(3))
        ]
        message = Message("assistant", join_halves(text), calls)
        response = ModelResponse(message, Metrics(model_calls=1))
        journal.answered(response, self.some(range(len(calls))), ())
        if calls or self.yes():
            await journal.commit()
        return True

    async def use_tools(self) -> None:
        for place, _ in self.journal.state.turns[-1].open_calls:
            if self.yes():
                self.journal.keep(StepEnded(place, "step", self.number, "1"))
                self.journal.keep(SleepBegun(place, self.number, 0.0, self.yes()))
                await self.journal.commit()
            if self.yes():
                self.journal.keep(ToolEnded(place, f"result {place}", self.yes()))
                await self.journal.commit()
                await self.moment()

    async def end(self, is_well: bool) -> bool:
        """End the attempt; say whether it was lost, with all that it had not written."""
        attempt, state = self.attempt, self.journal.state
        assert attempt is not None
        ways = ["lose", "lose too often", "release", "fail", "cancel", "postpone", "sleep"]
        if is_well and state.is_answered:
            ways = ["lose", "complete", "complete", "complete"]
        elif is_well and state.turns and state.turns[-1].open_calls:
            ways += ["pause"] * 3
        match self.one_of(*ways):
            case "lose" | "lose too often" as way:
                await self.lose()
                if way == "lose too often":
                    self.status, self.error = ERROR, "Lost too often."
                return True
            case "release":
                await release(attempt)
                self.status = PENDING
                return True
            case "postpone":
                await postpone(attempt, ModelError("Overloaded.", transient=True))
                self.status = PENDING
                return False
            case "sleep":
                await sleep(attempt, 1.0)
                self.status = PENDING
                return False
            case "pause":
                self.journal.keep(Paused(self.requirements()))
                attempt.output.status = PAUSED
            case "fail":
                attempt.output.status, attempt.output.error = ERROR, "It failed."
                details: dict[str, object] = {
                    "check_trigger": "SECRET",
                    "additional_data": {"words": ["key"]},
                }
                attempt.output.error_kind = "InputCheckError"
                attempt.output.error_details = details if self.yes() else None
            case "cancel":
                attempt.output.status = CANCELLED
            case _:
                attempt.output.status = COMPLETED
        await settle(attempt)
        self.journal.end()
        self.status, self.error = attempt.output.status, attempt.output.error
        self.failure = attempt.output.error_kind, attempt.output.error_details
        return False

    async def lose(self) -> None:
        """Have the process gone, and with it what it has not written."""
        flush = self.journal._flush
        if flush is not None:
            flush.cancel()
            await asyncio.wait({flush})
        self.attempt, self.status = None, PENDING

    def requirements(self) -> tuple[RunRequirement, ...]:
        turn = self.journal.state.turns[-1]
        return tuple(
            RunRequirement(
                f"run/{turn.number}/{place}",
                "unknown_outcome",
                ToolExecution(call.id, call.name, call.arguments),
                created_at=1.0,
            )
            for place, call in turn.open_calls
        )

    # --- what is promised

    def events(self, rows: Sequence[JournalRow]) -> list[tuple[object, ...]]:
        """Return the events that rows tell, from the first on, and the end."""
        state = RunState()
        happened = [Happened(RunEvent.run_started, seq=FIRST_EVENT)]
        for each in sorted(rows, key=lambda each: each.seq):
            happened += apply_entry(state, read_row(each), each)
        happened += ending_of(RunOutput.from_record(self.record), state.next_event)
        return list(map(told, happened))

    async def look(self) -> None:
        everything = self.events(list(self.rows.all.values()))
        assert [each[0] for each in everything] == list(range(1, len(everything) + 1)), "no gap"
        assert self.events(list(self.rows.rows.values())) == everything, "also without the pieces"
        check_text(everything)
        for after, reader, found in self.readers:
            found += await self.read_database(reader)
            assert found == everything[after:], "each reader the same"
        for after, task, found in self.followers:
            if self.status in (PENDING, RUNNING):
                task.cancel()
            await asyncio.wait({task}, timeout=10)
            assert found == everything[after : after + len(found)], "each follower the same"
            assert task.cancelled() or not found or found[-1][1] in ENDS, "up to an end"
            assert task.cancelled() or task.result() is None
        for event in self.emitted:
            assert event == everything[cast(int, event[0]) - 1], "the caller the same"
        numbers = [cast(int, event[0]) for event in self.emitted]
        assert numbers == sorted(set(numbers)), "the caller each once"


def check_text(events: Sequence[tuple[object, ...]]) -> None:
    """Make sure that pieces make up the answers, and that all others are voided."""
    shown = ""
    for _, kind, content, *_ in events:
        match kind:
            case RunEvent.run_content:
                assert content, "no piece is empty"
                shown += str(content)
            case RunEvent.run_content_voided:
                assert shown, "there is something to void"
                shown = ""
            case RunEvent.model_request_started | RunEvent.run_resumed | RunEvent.run_continued:
                assert not shown, "what is made again is voided before"
            case RunEvent.model_request_completed:
                assert shown == content
                shown = ""


@pytest.mark.parametrize("lives", [100, pytest.param(2000, marks=pytest.mark.nightly)])
def test_the_events_of_a_run_have_the_same_gapless_numbers_for_every_reader(lives: int) -> None:
    @settings(max_examples=lives)
    @given(chance=st.randoms(use_true_random=True))
    def check(chance: Random) -> None:
        asyncio.run(Life(chance).live())

    with patch.object(journal_module, "_SLICE", 0.0):
        check()


# --- one by one


ASKED, HALF = CallBegun(), TextSlice("Half")
CALLS = ToolCall("a", "work", "{}"), ToolCall("b", "work", "{}")


def rows(*steps: tuple[AnyStep, int]) -> list[JournalRow]:
    """Return the rows of steps, each with the number of its first event."""
    return [row("run", seq, step, event) for seq, (step, event) in enumerate(steps, 1)]


def events(found: Sequence[JournalRow]) -> list[tuple[int, str, object]]:
    """Return what rows tell."""
    state = RunState()
    happened = [each for row in found for each in apply_entry(state, read_row(row), row)]
    return [(each.seq, each.event.value, each.content) for each in happened]


def test_an_answer_tells_again_what_its_pieces_have_told() -> None:
    whole = answer("Half of it", slices=(4,))
    found = rows((ASKED, 2), (HALF, 3), (whole, 2))
    expected = [
        (2, "ModelRequestStarted", None),
        (3, "RunContent", "Half"),
        (4, "RunContent", " of it"),
        (5, "ModelRequestCompleted", "Half of it"),
    ]
    assert events(found) == expected
    assert events(found[2:]) == expected
    assert events([found[0], found[2]]) == expected


def test_the_text_of_a_call_that_is_made_again_is_voided() -> None:
    broken = CallBroken("Half of", (4,))
    found = rows((ASKED, 2), (HALF, 3), (broken, 2), (ASKED, 5), (answer("All."), 5))
    expected = [
        (2, "ModelRequestStarted", None),
        (3, "RunContent", "Half"),
        (4, "RunContent", " of"),
        (5, "RunContentVoided", "Half of"),
        (6, "ModelRequestStarted", None),
        (7, "RunContent", "All."),
        (8, "ModelRequestCompleted", "All."),
    ]
    assert events(found) == expected
    assert events([found[2], found[4]]) == expected


def test_an_attempt_voids_the_text_of_the_call_that_broke_before_it() -> None:
    broken = CallBroken("Half")
    found = rows((broken, 2), (AttemptBegun(2), 4), (answer("All."), 6))
    assert [kind for _, kind, _ in events(found)] == [
        *("ModelRequestStarted", "RunContent"),
        *("RunContentVoided", "RunResumed"),
        *("ModelRequestStarted", "RunContent", "ModelRequestCompleted"),
    ]


def test_a_call_that_broke_without_text_has_nothing_to_void() -> None:
    found = rows((CallBroken(""), 2), (AttemptBegun(2), 3))
    assert [kind for _, kind, _ in events(found)] == ["ModelRequestStarted", "RunResumed"]


def test_a_skipped_row_changes_nothing_but_the_numbers() -> None:
    future = JournalRow("run", 2, 5, "OfTheFuture", True, "{}")
    found = [row("run", 1, answer("Hi."), 2), future, row("run", 3, AttemptBegun(2), 7)]
    assert [seq for seq, _, _ in events(found)] == [2, 3, 4, 7]
    assert fold(found).last_seq == 3
    assert fold(found).next_event == 8
    assert fold(found[:2]).last_seq == 2


def test_the_state_is_what_the_steps_say() -> None:
    requirement = RunRequirement("run/1/1", "confirmation", ToolExecution("b", "work", "{}"))
    found = rows(
        (answer(None, *CALLS, starts=(0,)), 2),
        (ToolEnded(0, "done"), 5),
        (Paused((requirement,)), 6),
    )
    state = fold(found)
    [turn] = state.turns
    assert [place for place, _ in turn.open_calls] == [1]
    assert [message.role for message in turn.messages] == ["assistant", "tool"]
    assert (state.requirements, state.tool_calls, state.is_answered) == ((requirement,), 2, False)
    assert state.metrics.total_tokens == 46

    state = fold([*found, row("run", 4, Continued((1,)), 7)])
    assert (state.requirements, state.turns[0].allowed) == ((), {1})
    begun = row("run", 5, AttemptBegun(2, (1,)), 8)
    state = fold([*found, row("run", 4, Continued((1,)), 7), begun])
    assert (state.turns[0].started, state.turns[0].allowed) == ({0, 1}, set())


@pytest.mark.parametrize(
    ("seq", "expected"),
    [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 3), (99, 3)],
)
def test_a_fork_from_an_event_begins_with_what_was_told_by_then(seq: int, expected: int) -> None:
    found = rows(
        (answer("Hm.", *CALLS[:1], starts=(0,)), 2),  # 2 to 4, and the call's start
        (ToolEnded(0, "done"), 6),
        (AttemptBegun(2), 7),
    )
    assert row_of_event(found, seq) == expected


NONSENSE: dict[str, AnyStep] = {
    "a result before an answer": ToolEnded(0, "done"),
    "a start before an answer": AttemptBegun(2, (0,)),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_step_that_does_not_follow_names_its_row(nonsense: str) -> None:
    with pytest.raises(JournalError, match=r"^Row 1 of the journal of run run is damaged \("):
        fold([row("run", 1, NONSENSE[nonsense], 2)])


@pytest.mark.parametrize("place", [-1, 2, 2**31 - 1])
def test_a_call_that_is_not_there_names_its_row(place: int) -> None:
    asked = row("run", 1, answer(None, *CALLS), 2)
    for step in (ToolEnded(place, "done"), AttemptBegun(2, (place,))):
        with pytest.raises(JournalError, match=r"^Row 2 of the journal of run run is damaged \("):
            fold([asked, row("run", 2, step, 4)])


def test_a_refused_answer_is_taken_back_and_asked_for_again() -> None:
    refused = AnswerRefused("it holds no JSON")
    told = events(rows((answer("No."), 2), (refused, 5), (answer("{}"), 6)))
    assert [(seq, kind) for seq, kind, _ in told[2:5]] == [
        (4, "ModelRequestCompleted"),
        (5, "RunContentVoided"),
        (6, "ModelRequestStarted"),
    ]
    state = RunState()
    for each in rows((answer("No."), 2), (refused, 5)):
        apply_entry(state, read_row(each), each)
    assert not state.is_answered
    assert state.refusals == 1
    assert [each.role for each in state.turns[-1].messages] == ["assistant", "user"]


def test_secondary_answers_tell_what_they_are() -> None:
    said = [
        SecondaryAnswered("output_model", Message("assistant", "Final."), Metrics(output_tokens=1)),
        SecondaryAnswered("parser_model", Message("assistant", "{}"), Metrics(output_tokens=2)),
        SecondaryAnswered("followups", Message("assistant", '{"followups": ["?"]}'), Metrics()),
        SecondaryAnswered("of a newer kern", Message("assistant", "!"), Metrics()),
    ]
    made = rows((answer("Draft."), 2), *zip(said, (5, 9, 11, 13), strict=True))
    state = RunState()
    kinds = [e.event.value for r in made for e in apply_entry(state, read_row(r), r)]
    assert kinds[3:] == [
        *("OutputModelResponseStarted", "RunContentVoided", "RunContent"),
        *("OutputModelResponseCompleted", "ParserModelResponseStarted"),
        *("ParserModelResponseCompleted", "FollowupsStarted", "FollowupsCompleted"),
    ]
    assert (state.answer_text, state.followups) == ("Final.", ("?",))
    assert state.metrics.output_tokens == 34 + 1 + 2  # Of the answer, and of those after it.
