"""From the steps of a journal to the state of a run: the only place where a step is interpreted.

Replay, streams, the timeline, retry, fork and cancel all read a run through it, and so does the
attempt that writes the steps. It is a pure function: the same steps give the same state and the
same events with the same numbers, in every process and at any age.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kern.run.answered import Answered
from kern.run.beside import note
from kern.run.beside_steps import Beside
from kern.run.call import KeeperT, ModelCall
from kern.run.concluded import conclude, piece_happened, void_pieces
from kern.run.content import text_of
from kern.run.entry import Entry, damaged, read_row
from kern.run.event import RunEvent
from kern.run.happened import FIRST_EVENT, Happened, call_ended, failure_told, secondary_events
from kern.run.hook_events import hook_events, told_text
from kern.run.message import Metrics
from kern.run.record import JournalRow
from kern.run.references import MessageReferences
from kern.run.requirement import RunRequirement
from kern.run.state import StatePatch
from kern.run.steps import (
    OUTPUT_MODEL,
    PARSER_MODEL,
    AnswerKept,
    AnswerRefused,
    AnyStep,
    AttemptBegun,
    AttemptFailed,
    CallBegun,
    CallBroken,
    ContextBuilt,
    Continued,
    HookEnded,
    KnowledgeSearched,
    MessagesAdded,
    ModelAnswered,
    Paused,
    SecondaryAnswered,
    StateChanged,
    TextSlice,
    Traced,
)
from kern.run.tool_steps import (
    ChildBegun,
    ChildEnded,
    CustomHappened,
    SleepBegun,
    StepEnded,
    ToolConcluded,
    ToolEnded,
    ToolsBegun,
    ToolSlice,
    ToolStep,
)
from kern.run.turn import Turn


@dataclass(slots=True)
class RunState(Answered):
    """What the steps of a run say, up to one of them.

    Attributes:
        turns: the model's answers.
        metrics: what the model calls used.
        history: the runs that the model was shown before this one.
        kept: the answer that the provider keeps and that was asked for last.
        model: the model that answered last, as its provider names it.
        fallback: its provider and id, where it was not the agent's own.
        requirements: what the run waits for, while it is paused.
        call: the model call that is under way, where readers know of it.
        voids: the text that readers have of a call that is made again.
        secondary: the answers of secondary models, and which of them were refused.
        refusals: how often an answer was refused for its form, since a person had it go on.
        is_shown: whether results of tools are a part of the answer.
        told: what the model is told beside the messages, where that is not always the same.
        searched: what the model has found in the agent's knowledge.
        changes: what the steps have changed in the state of the session, together.
        children: what each of the runs has used that tool calls are, once it has ended.
        started: the runs that tool calls have started in the background.
        told_of: the ends of these that the model is told of, or others tell of.
        hooks: the hooks that have ended; those after an answer that was refused are left out.
        beside: what models were asked for the run's own; see :mod:`kern.run.beside`.
        trace: the trace that the first attempt was observed in.
        next_event: the number of the next event.
        last_seq: the number of the last row.

    Example:
        >>> from kern.run.message import Message
        >>> state = RunState()
        >>> answer = ModelAnswered(Message("assistant", "Hello"), Metrics(), slices=(3,))
        >>> for each in state.apply(Entry(1, 2, answer)):
        ...     print(each.seq, each.event, each.content)
        2 ModelRequestStarted None
        3 RunContent Hel
        4 RunContent lo
        5 ModelRequestCompleted Hello
    """

    turns: list[Turn] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    history: tuple[str, ...] = ()
    kept: AnswerKept | None = None
    model: str | None = None
    fallback: tuple[str, str] | None = None
    requirements: tuple[RunRequirement, ...] = ()
    call: ModelCall | None = None
    voids: str = ""
    secondary: tuple[SecondaryAnswered | AnswerRefused, ...] = ()
    refusals: int = 0
    is_shown: bool = False
    told: ContextBuilt | None = None
    searched: tuple[MessageReferences, ...] = ()
    changes: StatePatch | None = None
    children: tuple[Metrics, ...] = ()
    started: tuple[str, ...] = ()
    told_of: frozenset[str] = frozenset()
    hooks: tuple[HookEnded, ...] = ()
    beside: tuple[Beside, ...] = ()
    trace: str | None = None
    next_event: int = FIRST_EVENT + 1
    last_seq: int = 0

    @property
    def children_of_last(self) -> Mapping[int, str]:
        """The runs that calls of the model's last answer are, by their place."""
        return (self.turns[-1].children if self.turns else None) or {}

    def handle_for(self, origin: str) -> str | None:
        """Return the handle of the answer that is kept, if it means something there."""
        kept = self.kept
        return None if kept is None or kept.origin not in (None, origin) else kept.handle

    def kept_at(self, models: Iterable[KeeperT]) -> tuple[KeeperT, str] | None:
        """Return the one of these models that keeps an answer, and its handle, or None."""
        if self.kept is None:
            return None
        found = ((each, self.handle_for(each.origin)) for each in models)
        return next(((each, handle) for each, handle in found if handle is not None), None)

    @property
    def tool_calls(self) -> int:
        """How many tool calls the model has asked for."""
        last = self.turns[-1] if self.turns else None
        return 0 if last is None else last.earlier + len(last.message.tool_calls)

    @property
    def call_event(self) -> int:
        """The number of the first event of the model call that is under way, or is next."""
        return self.next_event if self.call is None else self.call.event

    def apply(self, entry: Entry) -> list[Happened]:
        """Go on by one step, and return the events that are new with it.

        A step may stand for events that pieces before it have told already, so that nothing is
        missing where these are gone.

        Raises:
            LookupError: it is about a call that there is not.
        """
        seen = self.next_event
        told = self.go_on(entry)
        first = max(0, seen - entry.event)
        return [each._replace(seq=entry.event + at) for at, each in enumerate(told) if at >= first]

    def go_on(self, entry: Entry) -> list[Happened]:
        """Go on by one step, and return all the events for which it stands, without numbers.

        Raises:
            LookupError: it is about a call that there is not.
        """
        told = [*self._events(entry)]
        self.last_seq = entry.seq
        changed: StatePatch | None = getattr(entry.step, "state", None)
        if changed is not None:
            self.changes = changed if self.changes is None else self.changes.then(changed)
        if told:
            self.next_event = max(self.next_event, entry.event + len(told))
        return told

    def _events(self, entry: Entry) -> Iterator[Happened]:
        match entry.step:
            case ModelAnswered() as step:
                text = step.message.text
                yield from self._call_ends(text, step.slices)
                yield from self._answered(step, text, entry.created_at)
            case CallBegun() | TextSlice() | AnswerKept() as step:
                yield from self._call_goes_on(step, entry.event)
            case CallBroken(text, slices):
                yield from self._call_ends(text, slices)
                self.voids = text
            case AnswerRefused() | SecondaryAnswered() as step:
                yield from self._answer_changes(step)
            case ToolStep() as step:
                yield from self._calls_change(step, entry.created_at)
            case Beside() as step:
                self.metrics.add(step.metrics)
                self.history = step.history or self.history
                self.beside = (*self.beside, step)
                yield from note(self.turns, step)
            case ContextBuilt() as step:
                self.told = step
            case MessagesAdded(messages, ends):
                self.turns[-1].tell(messages)
                self.told_of |= {*ends}
            case KnowledgeSearched(found):
                self.searched = (*self.searched, found)
            case HookEnded() as step:
                before = told_text(self.hooks, self.answer_text)
                self.hooks = (*self.hooks, step)
                yield from hook_events(step, before)
            case Traced(traceparent):
                self.trace = traceparent
            case None | StateChanged():
                pass
            case step:
                yield from self._attempt_changes(step, entry.created_at)

    def _calls_change(self, step: ToolStep, at: float) -> Iterator[Happened]:
        match step:
            case ToolEnded(place, content, error, state):
                execution = self.turns[-1].end(place, content, error=error, at=at)
                if state is not None:
                    self.turns[-1].patches[place] = state
                self.metrics.tool_calls += 1
                if isinstance(step, ToolConcluded):
                    self.is_shown |= step.shown
                    yield from conclude(self.turns[-1], step, text_of(content))
                yield call_ended(execution, content, error=error)
            case ToolSlice() | CustomHappened():
                self.is_shown |= isinstance(step, ToolSlice) and step.shown
                yield piece_happened(self.turns[-1], step)
            case ToolsBegun(starts):
                yield from self._starts(starts, at)
            case StepEnded() | SleepBegun():
                self.turns[-1].note(step)
            case ChildBegun(place, run_id, is_background):
                self.turns[-1].begin_child(place, run_id)
                if is_background and run_id not in self.started:
                    self.started = (*self.started, run_id)
            case ChildEnded(_, used):
                self.children = (*self.children, used)

    def _call_goes_on(
        self, step: CallBegun | TextSlice | AnswerKept, event: int
    ) -> Iterator[Happened]:
        if self.call is None:
            self.call = ModelCall(event)
        match step:
            case TextSlice(text):
                self.call.texts.append(text)
                yield Happened(RunEvent.run_content, text)
            case CallBegun() | AnswerKept():
                if isinstance(step, AnswerKept):
                    self.kept = step
                if self.voids:
                    yield Happened(RunEvent.run_content_voided, self.voids)
                yield Happened(RunEvent.model_request_started)

    def _call_ends(self, text: str, slices: Sequence[int]) -> Iterator[Happened]:
        """Tell a whole call, from its first event on."""
        if self.voids:
            yield Happened(RunEvent.run_content_voided, self.voids)
        yield Happened(RunEvent.model_request_started)
        begin = 0
        for length in (*slices, len(text) - sum(slices)):
            if length:
                yield Happened(RunEvent.run_content, text[begin : begin + length])
            begin += length
        self.call, self.voids = None, ""

    def _answered(self, step: ModelAnswered, text: str, at: float) -> Iterator[Happened]:
        self.kept = None
        self.model = step.model or self.model
        self.fallback = step.fallback
        self.history = step.history or self.history
        self.metrics.add(step.metrics)
        self.turns.append(Turn(len(self.turns) + 1, step.message, self.tool_calls, answered=step))
        yield Happened(RunEvent.model_request_completed, text, more={"metrics": step.metrics})
        yield from self._starts(step.starts, at)

    def _answer_changes(self, step: AnswerRefused | SecondaryAnswered) -> Iterator[Happened]:
        before = told_text(self.hooks, self.answer_text)
        if isinstance(step, AnswerRefused):
            self.refusals += 1
            self.hooks = tuple(each for each in self.hooks if each.kind == "pre")
            parsed = self.answers_of(PARSER_MODEL)
            if not (parsed or self.answers_of(OUTPUT_MODEL)):  # It was the agent's model.
                self.turns[-1].complaint = step.reason
            if before and not parsed:
                yield Happened(RunEvent.run_content_voided, before)
        else:
            self.metrics.add(step.metrics)
            yield from secondary_events(step, before)
        if self.secondary or isinstance(step, SecondaryAnswered):
            self.secondary = (*self.secondary, step)

    def _attempt_changes(self, step: AnyStep, at: float) -> Iterator[Happened]:
        if self.voids and not isinstance(step, AttemptFailed):
            yield Happened(RunEvent.run_content_voided, self.voids)
            self.voids = ""
        match step:
            case AttemptBegun() as step:
                self.call = None
                yield Happened(RunEvent.run_resumed)
                if self.turns:
                    yield from void_pieces(self.turns[-1], step.starts)
                yield from self._starts(step.starts, at)
            case Paused(requirements):
                self.requirements = requirements
                if self.turns:
                    self.turns[-1].pause(requirements)
                yield Happened(RunEvent.run_paused, requirements=requirements)
            case Continued() as step:
                self.requirements, self.refusals = (), 0
                if self.turns:
                    self.turns[-1].go_on(step)
                yield Happened(RunEvent.run_continued)
            case AttemptFailed(message, kind, details):
                self.call = None
                yield Happened(RunEvent.run_error, message, more=failure_told(kind, details))

    def _starts(self, places: Sequence[int], at: float) -> Iterator[Happened]:
        for place in places:
            yield Happened(RunEvent.tool_call_started, tool=self.turns[-1].begin(place, at))


def fold(rows: Iterable[JournalRow]) -> RunState:
    """Return the state of a run after the rows of its journal.

    Raises:
        JournalError: a row is damaged, or was written by a newer kern.
    """
    state = RunState()
    for row in rows:
        apply_entry(state, read_row(row), row)
    return state


def apply_entry(state: RunState, entry: Entry, row: JournalRow) -> list[Happened]:
    """Go on by an entry that was read from a row; see :meth:`RunState.apply`.

    Args:
        state: the state after the rows before it.
        entry: the entry.
        row: the row, for the error.

    Raises:
        JournalError: it makes no sense after those before it.
    """
    try:
        return state.apply(entry)
    except LookupError as error:
        raise damaged(row, error) from error
