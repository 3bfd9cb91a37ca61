"""What a run has done, as spans of time: attempts, model calls, tool calls and what is in them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from kern.dispatch.explanation import describe_requirement
from kern.errors import JournalError
from kern.execution.child import DELEGATE
from kern.operations.asides import beside_span, secondary_span
from kern.operations.span import Progress, Span, Text
from kern.run.beside_steps import Beside
from kern.run.codec import decode_object, shown
from kern.run.content import text_of
from kern.run.entry import Entry, read_row
from kern.run.event import RunEvent
from kern.run.fold import RunState, apply_entry
from kern.run.happened import Happened
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
    MessagesAdded,
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

KNOWLEDGE_PROGRESS = "kern.knowledge.loading:KnowledgeProgress"
"""The event with which a load says how far it has come, as the journal names it."""


class Spans:
    """What a run has done, as far as its journal was read.

    Attributes:
        all: the spans in the order in which they began; tool calls in that of the answer.
        state: what the journal's rows say together.
        last_seq: the number of the last row that was read.
        steps: how many rows were read that are more than pieces of text.
        progress: how far a load of a knowledge base has come; None where the run is none.
    """

    def __init__(self) -> None:
        """Know of nothing yet."""
        self.all: list[Span] = []
        self.state = RunState()
        self.last_seq = 0
        self.steps = 0
        self.progress: Progress | None = None
        self._idle_since = 0.0
        self._call: Span | None = None
        self._pause: Span | None = None
        self._calls: list[Span] = []
        self._contents: dict[str, Span] = {}

    @property
    def is_team(self) -> bool:
        """Whether a member of a team was given a task."""
        return any(each.kind == "member" for each in self.all)

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
                self._ended(secondary_span(step, self._idle_since, at), entry)
            case Beside() as step:
                self._ended(beside_span(step, self._idle_since, at), entry)
            case MessagesAdded(messages):
                span = Span("told", "Told between its turns", at, at)
                span.text = Text.of("\n\n".join(each.text for each in messages))
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
            case ChildBegun(place, run_id, is_background):
                call = self._calls[place]
                call.run_id = run_id
                if is_background:
                    call.note = "in the background"
                _name_run(call, self.state.turns[-1].execution(place).arguments)
            case ChildEnded(place, used):
                self._calls[place].metrics = used
            case CustomHappened(place, kind, values) if kind == KNOWLEDGE_PROGRESS:
                self._loads(self._calls[place], values, at)
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
        self._contents = {}
        self._start(step.starts, entry.created_at)

    def _start(self, places: Iterable[int], at: float) -> None:
        """Have tool calls begin, or begin once more."""
        for place in places:
            turn, call = self.state.turns[-1], self._calls[place]
            if call.began is not None:
                call.note = "made again"
            call.began, call.text = at, Text()
            call.arguments = Text.of(turn.execution(place).arguments)
            if call.run_id is not None:
                _name_run(call, turn.execution(place).arguments)

    def _loads(self, call: Span, values: Mapping[str, object], at: float) -> None:
        """Have a call go on that loads a knowledge base: a span for each content."""
        match values:
            case {
                "name": str(name),
                "status": str(status),
                "chunks": int(chunks),
                "done": int(done),
                "total": int(total),
            }:
                call.progress = self.progress = Progress(done, total, name)
                content = self._contents.get(name)
                if content is None:
                    content = self._contents[name] = Span("content", name, at)
                    call.inside.append(content)
                content.note = f"{chunks:,} {'chunk' if chunks == 1 else 'chunks'}"
                if status != "processing":
                    content.ended, content.failed = at, status == "failed"

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


def _name_run(call: Span, arguments: str) -> None:
    """Have a tool call that is a run say whose, and what it was told."""
    if call.kind == "tool":
        call.kind = "member" if call.title == DELEGATE else "agent"
    if call.kind == "member":
        try:
            given = decode_object(arguments)
        except ValueError:
            return
        call.title = str(given.get("member_id", call.title))
        call.arguments = Text.of(str(given.get("task", "")))


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
            text, name = Text.of(shown(step.values)), step.kind.rpartition(":")[2]
            return Span("event", name, at, at, text=text, row=entry.seq)
