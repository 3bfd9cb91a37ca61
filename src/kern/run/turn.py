"""A model's answer, and what became of the tool calls in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kern.run.content import Content, text_of
from kern.run.decided import show_answered, show_asked
from kern.run.happened import complaint
from kern.run.message import Message
from kern.run.requirement import RunRequirement, place_of
from kern.run.state import StatePatch
from kern.run.steps import Continued, ModelAnswered
from kern.run.tool import ToolCall, ToolExecution
from kern.run.tool_steps import SleepBegun, StepEnded


@dataclass(slots=True)
class Turn:
    """A model's answer, and what became of the tool calls in it.

    Attributes:
        number: which of the run's answers it is, from 1 on.
        message: the answer.
        earlier: how many tool calls the model had asked for before it.
        executions: the calls that have ended, by their place in the answer.
        contents: what the model is told of them, by their place.
        started: the calls that have begun, by their place.
        allowed: the calls that a person has allowed to begin, by their place.
        patches: what the calls that have ended have changed in the session's state, by their place.
        complaint: what does not fit in the answer, for which the model is asked again.
        ends: whether the run ends with the calls of this answer.
        shown: the results that are a part of the run's answer, by their place.
        added: what the model is told after the results, by the place of the call that says so;
            what nobody's call says comes last.
        pieces: what calls without a result have yielded and readers know of, in order, each with
            the call's place and whether it is a part of the run's answer.
        answered: the step that the answer is.
        began: when calls have begun, in seconds since 1970, by their place.
        ended_steps: the steps inside of its calls that have ended, by the call's place, name and
            occurrence.
        sleeps: until when its calls sleep, in seconds since 1970, by place and occurrence.
        arguments: those with which calls are made instead of the model's, by their place.
        passed: the answers of people that calls are given, by their place.
        waiting: what calls wait for that nobody has answered yet, by their place.
        asked: what people were asked before calls were made, or for them to go on, by their place.
        approved: the calls that a person has allowed, those that have begun since included, by
            their place.
        children: the runs that its calls are, by their place.
        compressed: what the model is told in place of results, by their place; None for one that
            stays as it is.
    """

    number: int
    message: Message
    earlier: int
    executions: dict[int, ToolExecution] = field(default_factory=dict)
    contents: dict[int, Content] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    allowed: set[int] = field(default_factory=set)
    patches: dict[int, StatePatch] = field(default_factory=dict)
    complaint: str | None = None
    ends: bool = False
    shown: dict[int, str] = field(default_factory=dict)
    added: dict[int, tuple[Message, ...]] = field(default_factory=dict)
    pieces: list[tuple[int, str, bool]] = field(default_factory=list)
    answered: ModelAnswered | None = None
    began: dict[int, float] = field(default_factory=dict)
    ended_steps: dict[tuple[int, str, int], StepEnded] | None = None
    sleeps: dict[tuple[int, int], float] | None = None
    arguments: dict[int, str] | None = None
    passed: dict[int, tuple[RunRequirement, ...]] | None = None
    waiting: dict[int, tuple[RunRequirement, ...]] | None = None
    asked: dict[int, tuple[RunRequirement, ...]] | None = None
    approved: frozenset[int] = frozenset()
    children: dict[int, str] | None = None
    compressed: dict[int, str | None] | None = None

    @property
    def open_calls(self) -> list[tuple[int, ToolCall]]:
        """The calls without a result, as they are made, with their places."""
        calls = enumerate(self.message.tool_calls)
        found = [(place, call) for place, call in calls if place not in self.executions]
        if self.arguments is None:
            return found
        edited = self.arguments
        return [
            (place, replace(call, arguments=edited.get(place, call.arguments)))
            for place, call in found
        ]

    def end(self, place: int, content: Content, *, error: bool, at: float = 0.0) -> ToolExecution:
        """Note what a call came to.

        Args:
            place: the call's place in the answer.
            content: what the model is told.
            error: whether the call failed.
            at: when, in seconds since 1970.

        Raises:
            LookupError: there is no such call.
        """
        execution = self.execution(place, text_of(content), error=error)
        if began := execution.created_at:
            execution.duration = max(0.0, round(at - began, 6))
        self.executions[place], self.contents[place] = execution, content
        return execution

    def begin(self, place: int, at: float) -> ToolExecution:
        """Note that a call has begun.

        Args:
            place: the call's place in the answer.
            at: when, in seconds since 1970.

        Raises:
            LookupError: there is no such call.
        """
        self.began[place] = at
        execution = self.execution(place)
        self.started.add(place)
        self.allowed.discard(place)  # It was allowed to begin once, and has begun.
        return execution

    def note(self, step: StepEnded | SleepBegun) -> None:
        """Note what has become of a step inside of a call.

        Args:
            step: that it has ended, or that the call sleeps.

        Raises:
            LookupError: there is no such call.
        """
        place = step.place
        self.execution(place)
        if isinstance(step, StepEnded):
            self.ended_steps = self.ended_steps or {}
            self.ended_steps[place, step.name, step.occurrence] = step
            return
        self.sleeps = self.sleeps or {}
        self.sleeps[place, step.occurrence] = step.until
        if step.suspended:
            self.started.discard(place)  # It begins again, whatever holds for interrupted calls.

    def pause(self, requirements: Sequence[RunRequirement]) -> None:
        """Note that calls wait for a person: they begin anew, and are not under way.

        Args:
            requirements: what the run waits for.
        """
        self.waiting = {}
        for each in requirements:
            place = place_of(each)
            self.started.discard(place)
            self.waiting[place] = (*self.waiting.get(place, ()), each)
        self.asked = {**(self.asked or {}), **self.waiting}

    def go_on(self, step: Continued) -> None:
        """Note what a person has decided about calls.

        Args:
            step: the decisions.
        """
        waiting = self.waiting or {}
        self.allowed |= set(step.allowed)
        self.approved |= {place for place in step.allowed if _is_asked(waiting.get(place, ()))}
        for place in (*step.allowed, *(place for place, _ in step.passed)):
            waiting.pop(place, None)
        if step.arguments:
            self.arguments = {**(self.arguments or {}), **dict(step.arguments)}
        for place, answers in step.passed:
            self.passed = self.passed or {}
            self.passed[place] = (*self.passed.get(place, ()), *answers)
        self.tell(step.messages)

    def tell(self, messages: Sequence[Message]) -> None:
        """Note what the model is told after all results.

        Args:
            messages: what it is told.
        """
        if messages:
            last = len(self.message.tool_calls)
            self.added[last] = (*self.added.get(last, ()), *messages)

    def begin_child(self, place: int, run_id: str) -> None:
        """Note that a call is a run of another agent.

        Args:
            place: the call's place in the answer.
            run_id: that run.

        Raises:
            LookupError: there is no such call.
        """
        self.execution(place)
        self.children = {**(self.children or {}), place: run_id}

    def execution(
        self, place: int, result: str | None = None, *, error: bool = False
    ) -> ToolExecution:
        """Return a call as readers see it.

        Args:
            place: the call's place in the answer.
            result: its result as text; None where it has none yet.
            error: whether the call failed.

        Raises:
            LookupError: there is no such call.
        """
        if place < 0:
            raise IndexError(f"there is no call {place}")
        call = self.message.tool_calls[place]
        began = self.began.get(place, 0.0)
        arguments = call.arguments
        if self.arguments is not None:
            arguments = self.arguments.get(place, arguments)
        execution = ToolExecution(call.id, call.name, arguments, result, error, began)
        if self.children is not None:
            execution.child_run_id = self.children.get(place)
        if self.asked is not None:
            self._show_people(execution, place)
        return execution

    def _show_people(self, execution: ToolExecution, place: int) -> None:
        """Let a call show what people were asked for it, and have answered."""
        for each in (self.asked or {}).get(place, ()):
            if each.member_run_id is None:  # Else it is about a call of a child.
                show_asked(execution, each, is_allowed=place in self.approved)
        for each in (self.passed or {}).get(place, ()):
            if each.member_run_id is None:
                show_answered(execution, each)

    @property
    def messages(self) -> list[Message]:
        """The answer and the results there are, in the order of the calls."""
        if self.complaint is not None:
            return [self.message, complaint(self.complaint), *self.added.get(0, ())]
        if not self.executions and not self.added:
            return [self.message]
        contents = self.contents
        results = [
            Message(
                "tool",
                contents[place],
                tool_call_id=ended.tool_call_id,
                is_error=ended.tool_call_error,
                more={"tool_name": ended.tool_name},
            )
            for place, ended in sorted(self.executions.items())
        ]
        for place, text in (self.compressed or {}).items():
            if text is not None:
                results[sorted(self.executions).index(place)].compressed_content = text
        added = (each for _, said in sorted(self.added.items()) for each in said)
        return [self.message, *results, *added]


def _is_asked(requirements: Sequence[RunRequirement]) -> bool:
    """Say whether a person was asked for the call, and not for what has become of it."""
    return any(each.kind != "unknown_outcome" for each in requirements)
