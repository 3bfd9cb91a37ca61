"""What kern promises, held against every change of the store and every call of a tool or model."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, cast

from kern.run.base import RunContext
from kern.run.content import text_of
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.record import JournalRow, Settlement
from kern.run.requirement import RunRequirement
from kern.run.steps import AnyStep, ModelAnswered, ToolEnded, read_row
from tests.simulation.agents import (
    AGENT_LIMIT,
    MAX_TURNS,
    REQUESTS,
    TOOL_CALL_LIMIT,
    USER_LIMIT,
    answer,
    result_of_work,
)
from tests.simulation.weather import HEARTBEAT

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

_ENDS = ("COMPLETED", "ERROR", "CANCELLED")

_MOVES = {
    None: {"PENDING", "RUNNING", "CANCELLED"},
    "PENDING": {"RUNNING", "CANCELLED", "ERROR"},
    "RUNNING": {"PENDING", "PAUSED", "COMPLETED", "ERROR", "CANCELLED"},
    "PAUSED": {"PENDING", "CANCELLED"},
    "ERROR": set(),
    "COMPLETED": set(),
    "CANCELLED": set(),
}

# The writes of an attempt, with the places of run id and attempt in their arguments.
_FENCED = ("append", "settle", "postpone", "release", "refuse", "set_counted")

_ROWS = """
SELECT run_id, session_id, agent_id, user_id, parent_run_id, position, status, attempt, failures,
    ordered, counted, run_at, output, error, timeout, started_at, requirements, journal_version,
    cancel_requested_at IS NOT NULL AS cancelling
FROM kern_sessions_runs WHERE session_id IS NOT NULL ORDER BY position"""


# How often a process may look for runs within a heartbeat; a run that begins or ends is a reason.
_MOST_ASKED = 300

ENDINGS = {
    "COMPLETED": RunEvent.run_completed,
    "ERROR": RunEvent.run_error,
    "CANCELLED": RunEvent.run_cancelled,
    "PAUSED": RunEvent.run_paused,
}
"""The last event of a stream whose run stands still in a status."""

_MOST_ANSWERS = {"frugal": REQUESTS, "brief": MAX_TURNS}


class BreachError(Exception):
    """A promise was broken."""


@dataclass(slots=True)
class Row:
    """A run as the store has it."""

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    parent_run_id: str | None
    position: int
    status: str
    attempt: int
    failures: int
    ordered: bool
    counted: bool
    run_at: float | None
    output: str | None
    error: str | None
    timeout: float | None
    started_at: float | None
    requirements: str | None
    journal_version: int
    cancelling: bool

    @property
    def has_ended(self) -> bool:
        """Whether its status is terminal."""
        return self.status in _ENDS


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a run in a process."""

    process: "Process"
    run_id: str
    kind: str
    since: float


@dataclass(slots=True)
class Known:
    """What the world has seen of a run beside its row.

    Attributes:
        accepted: whether somebody was told that it was accepted.
        cancelled_at: when somebody was told that it ends cancelled, or is not known yet.
        may_be_cancelled: whether anything has happened for which it may end cancelled.
        foreground: whether it belongs to a caller who may leave.
        resumed: how often it was asked to go on after an end.
        ended_at: when it ended, or paused.
        model_calls: how often the model was called for it.
        holder: the process that has begun its newest attempt.
        results: what its tool calls have returned, by idempotency key, as for the next three.
        begun: the attempts in which they were made.
        allowed: how often persons have allowed them.
        refused: the attempt after which they may not be made any more.
        told: what readers of its stream were told, by the events' numbers.
    """

    accepted: bool = False
    cancelled_at: float | None = None
    may_be_cancelled: bool = False
    foreground: bool = False
    resumed: int = 0
    ended_at: float | None = None
    model_calls: int = 0
    holder: "Process | None" = None
    results: dict[str, set[str]] = field(default_factory=dict)
    begun: dict[str, list[int]] = field(default_factory=dict)
    allowed: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)
    told: dict[int, RunOutputEvent] = field(default_factory=dict)


class Promises:
    """Watches a world."""

    def __init__(self, world: "World") -> None:
        """Know of nothing yet."""
        self.rows: dict[str, Row] = {}
        self.known: dict[str, Known] = {}
        self.waiters: list[Waiter] = []
        self.interrupting: set[str] = set()
        self._world = world
        self._breach: str | None = None
        self._looked_at = 0.0
        self._changes = 0
        self._asked: dict[Process, list[float]] = {}

    def of(self, run_id: str) -> Known:
        """Return what is known of a run."""
        return self.known.setdefault(run_id, Known())

    def breach(self, text: str) -> None:
        """Remember that a promise was broken; the world ends after this step."""
        if self._breach is None:
            self._world.write(f"BREACH: {text}")
            self._breach = text

    def check(self) -> None:
        """Raise what was broken.

        Raises:
            BreachError: a promise was.
        """
        if self._world.universe.now - self._looked_at > 1:
            self._looked_at = self._world.universe.now
            self._check_waits()
        if self._breach is not None:
            raise BreachError(self._breach)

    # What the store was asked and has done.

    def asked(self, process: "Process", name: str) -> None:
        """See that a process does not ask all the time."""
        if name != "dequeue":
            return
        asked = self._asked.setdefault(process, [])
        asked.append(self._world.universe.now)
        if len(asked) > _MOST_ASKED and asked[-1] - asked[-_MOST_ASKED] < HEARTBEAT:
            self.breach(f"{process.name} has asked for runs {_MOST_ASKED} times in a heartbeat")

    def stored(
        self, process: "Process", name: str, args: tuple[object, ...], result: object
    ) -> None:
        """See what an operation has changed, which was just carried out for a process."""
        if self._world.is_over:
            return
        if name in _FENCED and result:
            self._check_writer(name, args)
        if (changes := self._world.changes()) == self._changes:
            return
        self._changes = changes
        before = self.rows
        self.rows = {row["run_id"]: Row(**dict(row)) for row in self._world.rows(_ROWS)}
        for run_id in before.keys() - self.rows.keys():
            if self.of(run_id).accepted:
                self.breach(f"{run_id} was accepted, and is gone")
        for run_id, row in self.rows.items():
            old = before.get(run_id)
            if old != row:
                self._changed(process, name, old, row)

    def _changed(self, process: "Process", name: str, old: Row | None, row: Row) -> None:
        status = None if old is None else old.status
        if status != row.status or (old is not None and old.attempt != row.attempt):
            text = f"{name}: {row.run_id} {status or '-'} → {row.status} (attempt {row.attempt})"
            self._world.write(text, process.name)
        if old is not None and row.attempt < old.attempt:
            self.breach(f"the attempt of {row.run_id} went back from {old.attempt}")
        if old is not None and row.failures > old.failures and name not in ("sweep", "postpone"):
            self.breach(f"{name} of {row.run_id} was counted as a failure")
        if status == row.status:
            if old is not None and status == "RUNNING" and old.attempt != row.attempt:
                self.breach(
                    f"attempt {row.attempt} of {row.run_id} began while another was RUNNING"
                )
            is_new = old is None or (old.output, old.error) != (row.output, row.error)
            if row.has_ended and is_new:
                self.breach(f"{row.run_id} has ended, and its output changed")
            return
        resumes = name == "resume" and status in ("ERROR", "PAUSED") and row.status == "PENDING"
        if row.status not in _MOVES[status] and not resumes:
            self.breach(f"{row.run_id} went from {status} to {row.status}")
        if resumes and status == "ERROR":
            self.of(row.run_id).resumed += 1
        rests = row.has_ended or row.status == "PAUSED"
        self.of(row.run_id).ended_at = self._world.universe.now if rests else None
        if self.of(row.run_id).cancelled_at is not None and row.status != "CANCELLED":
            self.breach(f"{row.run_id} went to {row.status}, though its cancel was stored")
        match row.status:
            case "RUNNING":
                self.of(row.run_id).holder = process
                self._begins(name, row)
                if row.journal_version > process.version:
                    self.breach(f"{row.run_id} began where its journal cannot be read")
            case "PAUSED" if not json.loads(row.requirements or "[]"):
                self.breach(f"{row.run_id} paused, and waits for nothing")
            case "COMPLETED":
                self._completes(row)
            case "CANCELLED":
                self._check_cause(row)
            case "ERROR":
                self._fails(row)

    def _check_writer(self, name: str, args: tuple[object, ...]) -> None:
        """One writer: a stale attempt is refused."""
        if name == "settle":
            settlement = cast(Settlement, args[0])
            run_id, attempt = settlement.run_id, settlement.attempt
        else:
            run_id, attempt = cast(str, args[0]), cast(int, args[1])
        row = self.rows[run_id]
        if (row.status, row.attempt) != ("RUNNING", attempt):
            self.breach(
                f"{name} by attempt {attempt} of {run_id} was not refused, though it was "
                f"{row.status} in attempt {row.attempt}"
            )

    def _ancestors(self, row: Row) -> set[str]:
        above = set[str]()
        while row.parent_run_id is not None and row.parent_run_id in self.rows:
            above.add(row.parent_run_id)
            row = self.rows[row.parent_run_id]
        return above

    def _begins(self, name: str, row: Row) -> None:
        if row.cancelling:
            self.breach(f"{row.run_id} began, though it was cancelled")
        self._check_tree(row, "began")
        others = [each for each in self.rows.values() if each.run_id != row.run_id]
        if row.ordered:
            self._check_order(row, [each for each in others if each.session_id == row.session_id])
        if name == "claim" and row.agent_id == "scarce":
            above = self._ancestors(row)  # They may wait for it, so they do not count.
            running = [
                each
                for each in others
                if each.agent_id == row.agent_id and each.status == "RUNNING" and each.counted
                if each.run_id not in above
            ]
            if len(running) >= AGENT_LIMIT:
                self.breach(f"{row.run_id} began above the limit of its agent")
            if (
                row.user_id is not None
                and len([each for each in running if each.user_id == row.user_id]) >= USER_LIMIT
            ):
                self.breach(f"{row.run_id} began above the limit of its user")

    def _check_order(self, row: Row, others: list[Row]) -> None:
        """The runs of a session execute one at a time, in order of acceptance."""
        for other in others:
            if not other.ordered or other.has_ended:
                continue
            holds = other.attempt > 0 and not self.of(other.run_id).resumed
            if other.status == "RUNNING" or holds:
                self.breach(f"{row.run_id} began, though {other.run_id} has the session's lock")
            elif (
                other.position < row.position
                and other.run_at is None
                and not other.cancelling
                and not self.of(other.run_id).resumed
                and row.attempt == 1
            ):
                self.breach(f"{row.run_id} began before {other.run_id}, which was accepted first")

    def _completes(self, row: Row) -> None:
        if row.cancelling:
            self.breach(f"{row.run_id} completed, though it was cancelled")
        self._check_tree(row, "completed")
        content = cast(str, json.loads(row.output or "{}").get("content"))
        expected = answer(self.journaled(row.run_id).values())
        if (content or "") != expected:
            self.breach(f"{row.run_id} answered {content!r} instead of {expected!r}")

    def _check_tree(self, row: Row, what: str) -> None:
        """The children of a cancelled run neither begin nor complete."""
        world = self._world
        for ancestor in self.ancestors(row.run_id):
            known = self.of(ancestor.run_id)
            if known.cancelled_at is not None:
                self.breach(f"{row.run_id} {what}, though {ancestor.run_id} was cancelled")
            if ancestor.status == "CANCELLED" and known.ended_at is not None:
                since = max(known.ended_at, world.troubled_until)
                if world.universe.now - since > world.patience:
                    self.breach(f"{row.run_id} {what} long after {ancestor.run_id} was CANCELLED")
            if ancestor.status in ("COMPLETED", "ERROR"):
                return  # It has left its children to themselves.

    def ancestors(self, run_id: str) -> Iterator[Row]:
        """Yield the runs whose calls have led to a run."""
        row = self.rows.get(run_id)
        while row is not None and row.parent_run_id is not None:
            row = self.rows.get(row.parent_run_id)
            if row is not None:
                yield row

    def _check_cause(self, row: Row) -> None:
        """Only a cancel cancels."""
        for each in (row, *self.ancestors(row.run_id)):
            known = self.of(each.run_id)
            if known.may_be_cancelled or known.foreground or each.session_id in self.interrupting:
                return
        self.breach(f"{row.run_id} ended CANCELLED, and nobody has cancelled it")

    def _fails(self, row: Row) -> None:
        """A run fails only of what was planned, or of too many lost attempts."""
        message = cast(str, json.loads(row.error or "{}").get("message") or "")
        if row.cancelling:
            self.breach(f"{row.run_id} failed, though it was cancelled")
        elif message.startswith("The workers of ") and not self._world.storm.is_calm:
            return
        elif message.startswith("The run was not done within its timeout"):
            if row.timeout is None or row.started_at is None:
                self.breach(f"{row.run_id} failed of a time limit that it does not have")
            elif self._world.wall() - row.started_at < row.timeout - 0.1:
                self.breach(f"{row.run_id} failed of its time limit before that was over")
        elif message.startswith(_OF_LIMITS) and row.agent_id in _MOST_ANSWERS:
            below = [each for each in self.rows if row in self.ancestors(each)]
            answers = sum(map(self.answers, [row.run_id, *below]))
            if answers < _MOST_ANSWERS[row.agent_id] and "tool_call_limit" not in message:
                self.breach(f"{row.run_id} failed of a limit after {answers} answers")
        elif not message.startswith("planned failure"):
            self.breach(f"{row.run_id} failed: {message}")

    # What the model and the tools were asked.

    def model_called(self, process: "Process", run_id: str, turn: int) -> int:
        """See that the model is not asked again for what it has answered."""
        known = self.of(run_id)
        known.model_calls += 1
        process.write(f"model: {run_id} turn {turn + 1}")
        answers = [step for step in self._steps(run_id) if isinstance(step, ModelAnswered)]
        calls = sum(len(step.message.tool_calls) for step in answers)
        if known.holder is process and turn < len(answers):
            self.breach(f"turn {turn + 1} of {run_id} was asked for again")
        elif known.holder is process and (
            turn > len(answers) or calls > len(self.journaled(run_id))
        ):
            self.breach(f"turn {turn + 1} of {run_id} was asked for before the last is journaled")
        if turn >= _MOST_ANSWERS.get(self.rows[run_id].agent_id, inf):
            self.breach(f"turn {turn + 1} of {run_id} was asked for above its limit")
        return known.model_calls

    def tool_called(self, process: "Process", context: RunContext) -> None:
        """See that a call may be made."""
        key, tool = context.idempotency_key, context.tool_call_id.rsplit(".")[-1]
        known = self.of(context.run_id)
        process.write(f"tool: {key} (attempt {context.attempt})")
        row = self.rows[context.run_id]
        # A process that was frozen may begin a call before its attempt meets the fence.
        if context.attempt == row.attempt and key in self.journaled(context.run_id):
            self.breach(f"the call {key} was made again, though its result is journaled")
        begun = known.begun.setdefault(key, [])
        allowed = known.allowed[key] + (tool not in ("asked", "grave"))
        if not allowed or (tool in ("risky", "grave") and len(begun) >= allowed):
            self.breach(f"the call {key} was made, and nobody has allowed it")
        if context.attempt in begun:
            self.breach(f"the call {key} was made twice in attempt {context.attempt}")
        if context.attempt > known.refused.get(key, inf):
            self.breach(f"the call {key} was made, though a person has refused it")
        begun.append(context.attempt)
        if row.agent_id == "frugal" and len(known.begun) > TOOL_CALL_LIMIT:
            self.breach(f"the call {key} was made above the limit")

    def tool_returned(self, process: "Process", context: RunContext, result: str) -> None:
        """Remember a result."""
        known = self.of(context.run_id)
        known.results.setdefault(context.idempotency_key, set()).add(result)

    def journaled(self, run_id: str) -> dict[str, str]:
        """Return the results of a run's tool calls by idempotency key, in the calls' order."""
        results: dict[tuple[int, int], str] = {}
        turn = 0
        for step in self._steps(run_id):
            if isinstance(step, ModelAnswered):
                turn += 1
            elif isinstance(step, ToolEnded):
                results[turn, step.place] = text_of(step.content)
                self._check_result(run_id, f"{run_id}/{turn}/{step.place}", text_of(step.content))
        return {f"{run_id}/{turn}/{place}": results[turn, place] for turn, place in sorted(results)}

    def _check_result(self, run_id: str, key: str, result: str) -> None:
        returned = self.of(run_id).results.get(key, set())
        if result.startswith("did[") and result != result_of_work(key):
            self.breach(f"the call {key} has the result of another: {result}")
        if not result.startswith(_OF_KERN) and result not in returned:
            self.breach(f"the call {key} has a result that it never returned: {result}")

    def answers(self, run_id: str) -> int:
        """Return how many answers of the model are journaled."""
        return sum(isinstance(step, ModelAnswered) for step in self._steps(run_id))

    def _steps(self, run_id: str) -> list[AnyStep | None]:
        rows = self._world.rows(
            "SELECT run_id, seq, event, type, skippable, payload FROM kern_sessions_run_events "
            "WHERE run_id = :run_id ORDER BY seq",
            run_id=run_id,
        )
        return [read_row(JournalRow(*row)).step for row in rows]

    def check_answer(self, run_id: str, requirement: RunRequirement) -> None:
        """See that a call has the result that a person gave it."""
        expected = requirement.external_execution_result or requirement.rejection
        if (result := self.journaled(run_id).get(requirement.id)) != expected:
            self.breach(f"the call {requirement.id} has the result {result!r}, not {expected!r}")

    # What those who read streams were told.

    def told(self, run_id: str, event: RunOutputEvent, last: int) -> None:
        """Somebody was told of an event after the one with the number ``last``."""
        self.of(run_id).accepted = True
        event = replace(event, created_at=0.0)
        if event.seq != last + 1:
            self.breach(f"event {event.seq} of {run_id} came after {last}")
        elif (known := self.of(run_id).told.setdefault(event.seq, event)) != event:
            self.breach(f"event {event.seq} of {run_id} was {known}, and then {event}")

    def check_stream(self, run_id: str) -> None:
        """See that a whole stream makes sense, which was read to the end of the run."""
        told, text = self.of(run_id).told, ""
        for seq, event in sorted(told.items()):
            if event.event is RunEvent.run_content:
                text += event.content or ""
            elif event.event is RunEvent.run_content_voided:
                text = ""
            elif event.event is RunEvent.model_request_completed:
                if text != event.content:
                    self.breach(f"the pieces of {run_id} up to event {seq} are not the answer")
                text = ""
            elif event.event is RunEvent.model_request_started and text:
                self.breach(f"the text of {run_id} before event {seq} was not voided")
        status = self.rows[run_id].status
        if told[len(told)].event is not ENDINGS[status]:
            self.breach(f"the stream of {run_id}, which is {status}, ends with {told[len(told)]}")

    def left(self, process: "Process", run_id: str) -> None:
        """The caller of a run in the foreground has left."""
        row = self.rows.get(run_id)
        if self._world.storm.is_calm and row is not None and not row.has_ended:
            self._world.later(1.0, lambda: self._check_left(run_id))

    def _check_left(self, run_id: str) -> None:
        if (status := self.rows[run_id].status) != "CANCELLED":
            self.breach(f"{run_id} is {status}, though its caller has left")

    # What those were told who asked.

    def accepted(self, run_id: str) -> None:
        """Somebody was told that a run was accepted."""
        self.of(run_id).accepted = True
        if run_id not in self.rows:
            self.breach(f"{run_id} was accepted, and is not stored")

    def cancelled(self, run_id: str, will_end: bool) -> None:
        """Somebody was told that a cancel was stored."""
        row = self.rows.get(run_id)
        if row is None:
            self.of(run_id).cancelled_at = self._world.universe.now
            kept = self._world.rows(
                "SELECT 1 FROM kern_sessions_runs WHERE run_id = :run_id AND session_id IS NULL",
                run_id=run_id,
            )
            if will_end or not kept:
                self.breach(f"the cancel of {run_id}, which is not known yet, was not kept")
        elif row.status == "CANCELLED" or row.cancelling:
            if will_end:
                self.of(run_id).cancelled_at = self._world.universe.now
        elif will_end or not row.has_ended:
            self.breach(f"{run_id} is {row.status}, though its cancel was answered by {will_end}")

    def ended(self, run_id: str, status: str, how: str) -> None:
        """Somebody was told how a run ended."""
        row = self.rows.get(run_id)
        if status == "PAUSED":
            return
        if row is None or (row.status != status and not self.of(run_id).resumed):
            stored = None if row is None else row.status
            self.breach(f"{how} said that {run_id} ended {status}, but it is {stored}")

    def _check_waits(self) -> None:
        """Every wait ends soon after what it is for."""
        world = self._world
        for waiter in self.waiters:
            ended_at = self.of(waiter.run_id).ended_at
            process = waiter.process
            if ended_at is None or not process.is_usable or process.is_cut or world.is_away:
                continue
            since = max(waiter.since, ended_at, process.troubled_until, world.troubled_until)
            if world.universe.now - since > world.patience:
                self.breach(
                    f"{waiter.kind} in {process.name} still waits for {waiter.run_id}, which "
                    f"ended {world.universe.now - ended_at:.0f} s ago"
                )

    def forget(self, process: "Process") -> None:
        """Forget those who waited in a process that is gone."""
        self.waiters = [each for each in self.waiters if each.process is not process]

    def unfinished(self) -> list[Row]:
        """Return the runs that have not ended."""
        return [row for row in self.rows.values() if not row.has_ended]


# What a run fails of that has used as much as it may.
_OF_LIMITS = (
    "The model was asked max_turns=",
    "The run has reached its limit of requests=",
    "The run has made its tool_call_limit=",
)

# Results that the tool did not return, but kern put in its place.
_OF_KERN = (
    "DatabaseUnavailableError",
    "CancelledError",
    "ModelError",
    "UsageLimitError",
    "Not called",
)
