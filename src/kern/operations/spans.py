"""What a run has done, as spans of time: attempts, model calls, tool calls and what is in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from kern.dispatch.explanation import describe_requirement
from kern.errors import JournalError
from kern.run.codec import shown
from kern.run.content import text_of
from kern.run.entry import Entry, read_row
from kern.run.event import RunEvent
from kern.run.fold import RunState, apply_entry
from kern.run.happened import Happened
from kern.run.metrics import Metrics
from kern.run.record import JournalRow, RunRecord
from kern.run.steps import (
    PIECE_KINDS,
    AnswerKept,
    AnswerRefused,
    AttemptBegun,
    AttemptFailed,
    CallBegun,
    CallBroken,
    Continued,
    HookEnded,
    ModelAnswered,
    Paused,
    SecondaryAnswered,
    TextSlice,
)
from kern.run.tool_steps import (
    ChildBegun,
    ChildEnded,
    CustomHappened,
    SleepBegun,
    StepEnded,
    ToolEnded,
    ToolsBegun,
    ToolSlice,
)

SpanKind: TypeAlias = Literal[
    "attempt", "model", "tool", "step", "sleep", "event", "hook", "pause", "continued", "damage"
]

MOST = 2000
"""How many characters of a text a span keeps; the journal has them all."""


@dataclass(slots=True)
class Text:
    """A text as far as a span keeps it.

    Attributes:
        beginning: how it begins.
        size: how many characters it has.
    """

    beginning: str = ""
    size: int = 0

    @classmethod
    def of(cls, text: str) -> "Text":
        """Keep a text."""
        return cls(text[:MOST], len(text))

    def add(self, more: str) -> None:
        """Have it go on."""
        self.beginning += more[: MOST - len(self.beginning)]
        self.size += len(more)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing."""
        return len(self.beginning) == self.size


@dataclass(slots=True)
class Span:
    """Something that a run has done, or is doing. Moments are seconds since 1970.

    Attributes:
        kind: what it is.
        title: the model, where it is known, the tool, the step or the hook, or what happened.
        began: when it began; None where it has not, or that is not known.
        ended: when it ended; None where it has not.
        failed: whether something went wrong.
        note: what else there is to say about it.
        arguments: those of a tool call, as the model wrote them, or as a person has changed them.
        text: what came of it: an answer, a result, an error.
        metrics: what a model call, or a child, has used.
        calls: how many tool calls an answer asks for.
        run_id: the child run that a tool call is.
        row: the number of the journal's row that holds it whole.
        asked_in: of a tool call, the row of the answer that asks for it, and its place there.
        fork_from: the number of the event after which a fork begins that keeps it and what was
            before it; None where none begins there.
        inside: what a tool call has done.
    """

    kind: SpanKind
    title: str
    began: float | None = None
    ended: float | None = None
    failed: bool = False
    note: str = ""
    arguments: Text = field(default_factory=Text)
    text: Text = field(default_factory=Text)
    metrics: Metrics | None = None
    calls: int = 0
    run_id: str | None = None
    row: int | None = None
    asked_in: tuple[int, int] | None = None
    fork_from: int | None = None
    inside: "list[Span]" = field(default_factory=list)

    @property
    def took(self) -> float | None:
        """How many seconds it took; None where it has not ended, or that is not known."""
        if self.began is None or self.ended is None:
            return None
        return max(0.0, self.ended - self.began)


class Spans:
    """What a run has done, as far as its journal was read.

    Attributes:
        all: the spans in the order in which they began; tool calls in that of the answer.
        state: what the journal's rows say together.
        last_seq: the number of the last row that was read.
        steps: how many rows were read that are more than pieces of text.
    """

    def __init__(self) -> None:
        """Know of nothing yet."""
        self.all: list[Span] = []
        self.state = RunState()
        self.last_seq = 0
        self.steps = 0
        self._idle_since = 0.0
        self._call: Span | None = None
        self._pause: Span | None = None
        self._calls: list[Span] = []

    @property
    def written(self) -> str:
        """What the model has written so far of the answer that is under way."""
        call = self.state.call
        return "" if call is None else "".join(call.texts)

    def extend(self, record: RunRecord, rows: Sequence[JournalRow]) -> None:
        """Go on with further rows of the journal.

        Args:
            record: the run.
            rows: the rows after the last one that was read.
        """
        if not self.all and (rows or record.executor is not None):
            begun = (record.started_at or record.created_at).timestamp()
            if rows:  # After a retry the run starts after what it has done before.
                begun = min(begun, rows[0].created_at)
            self._idle_since = begun
            self.all.append(Span("attempt", "Attempt 1", begun, begun))
        for row in rows:
            self.last_seq = row.seq
            self.steps += row.type not in PIECE_KINDS
            try:
                entry = read_row(row)
                happened = apply_entry(self.state, entry, row)
                self._add(entry, happened)
            except JournalError as error:
                damage = Span("damage", "cannot be read", row.created_at, row.created_at, True)
                damage.text, damage.row = Text.of(str(error)), row.seq
                self.all.append(damage)

    def _add(self, entry: Entry, happened: list[Happened]) -> None:
        at = entry.created_at
        match entry.step:
            case CallBegun() | TextSlice() | AnswerKept():
                self._call_goes_on(at)
                return
            case ModelAnswered() as step:
                self._answered(step, entry)
            case SecondaryAnswered() as step:
                span = Span("model", step.name.replace("_", " "), self._idle_since, at)
                span.text, span.metrics = Text.of(step.message.text), step.metrics
                span.note = step.model or ""
                self._ended(span, entry)
            case CallBroken(text):
                span = self._call_goes_on(at)
                span.ended, span.failed, span.note = at, True, "broken off, and made again"
                span.text, self._call = Text.of(text), None
            case AnswerRefused(reason):
                if self.all:
                    self.all[-1].failed, self.all[-1].note = True, f"does not fit: {reason}"
            case ToolEnded(place, content, error):
                call = self._calls[place]
                call.ended, call.failed, call.text = at, error, Text.of(text_of(content))
                call.row = entry.seq
                self._fork_after(call, happened)
            case ToolsBegun(starts):
                self._start(starts, at)
            case ToolSlice(place, text):
                self._calls[place].text.add(text)
                return
            case ChildBegun(place, run_id):
                self._calls[place].run_id = run_id
            case ChildEnded(place, used):
                self._calls[place].metrics = used
            case StepEnded() | SleepBegun() | CustomHappened() as step:
                self._calls[step.place].inside.append(_inside(step, entry))
            case HookEnded() as step:
                self._ended(Span("hook", step.name, self._idle_since, at), entry)
            case None:
                return
            case step:
                self._attempt_changes(step, entry)
        if entry.step is not None:
            self._fork_here(entry, happened)
            self._idle_since = max(self._idle_since, at)

    def _attempt_changes(self, step: object, entry: Entry) -> None:
        at = entry.created_at
        match step:
            case AttemptBegun(attempt, starts):
                self._drop_call(at, "its process was lost")
                self._ended(Span("attempt", f"Attempt {attempt}", at, at), entry)
                self._start(starts, at)
            case AttemptFailed(message, kind):
                self._drop_call(at, "failed")
                failure = Span("attempt", f"Attempt failed: {kind or 'error'}", at, at, True)
                failure.text = Text.of(message or "")
                self._ended(failure, entry)
            case Paused(requirements):
                self._pause = Span("pause", "Waits for a person", at)
                self._pause.text = Text.of(", ".join(map(describe_requirement, requirements)))
                self._ended(self._pause, entry)
            case Continued(by=by):
                who = f"by {by}" if by else ""
                if self._pause is None:
                    self._ended(Span("continued", "Retried", at, at, note=who), entry)
                else:
                    self._pause.ended, self._pause.note, self._pause = at, who, None

    def _call_goes_on(self, at: float) -> Span:
        """Return the model call that is under way; it begins where there was none."""
        if self._call is None:
            self._call = Span("model", "", at)
            self.all.append(self._call)
        return self._call

    def _answered(self, step: ModelAnswered, entry: Entry) -> None:
        span = self._call or Span("model", "", self._idle_since)
        if self._call is None:
            self.all.append(span)
        self._call = None
        span.title, span.ended, span.row = step.model or "", entry.created_at, entry.seq
        span.text, span.metrics = Text.of(step.message.text), step.metrics
        if step.fallback is not None:
            span.note = "fallback {}: {}".format(*step.fallback)
        calls = step.message.tool_calls
        span.calls = len(calls)
        self._calls = [
            Span("tool", each.name, arguments=Text.of(each.arguments), asked_in=(entry.seq, place))
            for place, each in enumerate(calls)
        ]
        self.all += self._calls
        self._start(step.starts, entry.created_at)

    def _start(self, places: Iterable[int], at: float) -> None:
        """Have tool calls begin, or begin once more."""
        for place in places:
            turn, call = self.state.turns[-1], self._calls[place]
            if call.began is not None:
                call.note = "made again"
            call.began, call.text = at, Text()
            call.arguments = Text.of(turn.execution(place).arguments)

    def _drop_call(self, at: float, why: str) -> None:
        if self._call is not None:
            self._call.ended, self._call.failed, self._call.note = at, True, why
            self._call = None

    def _ended(self, span: Span, entry: Entry) -> None:
        span.row = entry.seq
        self.all.append(span)

    def _fork_here(self, entry: Entry, happened: list[Happened]) -> None:
        if isinstance(entry.step, ModelAnswered):
            self._fork_after(self.all[-1 - len(self._calls)], happened)

    @staticmethod
    def _fork_after(span: Span, happened: list[Happened]) -> None:
        """Say after which event a fork begins: calls that begin with it are made anew."""
        told = [each.seq for each in happened if each.event is not RunEvent.tool_call_started]
        span.fork_from = told[-1] if told else None


def _inside(step: StepEnded | SleepBegun | CustomHappened, entry: Entry) -> Span:
    """Return what a tool call has done, or told."""
    at = entry.created_at
    match step:
        case StepEnded():
            text = Text.of(text_of(step.content))
            return Span(
                "step", step.name, None, at, step.error is not None, text=text, row=entry.seq
            )
        case SleepBegun():
            until = f"until {datetime.fromtimestamp(step.until, UTC):%Y-%m-%d %H:%M:%S} UTC"
            return Span("sleep", "sleep", at, step.until, note=until, row=entry.seq)
        case CustomHappened():
            text = Text.of(shown(step.values))
            return Span("event", step.kind, at, at, text=text, row=entry.seq)
