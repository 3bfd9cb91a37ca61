"""What happens in a run, as those who read its stream are told."""

from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from kern.run.event_base import CLASSES, RunEvent, RunOutputEvent
from kern.run.event_beside import (
    CompactionCompletedEvent,
    CompactionStartedEvent,
    CompressionCompletedEvent,
    CompressionStartedEvent,
    FollowupsCompletedEvent,
    FollowupsStartedEvent,
    MemoryUpdateCompletedEvent,
    MemoryUpdateStartedEvent,
    OutputModelResponseCompletedEvent,
    OutputModelResponseStartedEvent,
    ParserModelResponseCompletedEvent,
    ParserModelResponseStartedEvent,
    PostHookCompletedEvent,
    PostHookStartedEvent,
    PreHookCompletedEvent,
    PreHookStartedEvent,
    ReasoningCompletedEvent,
    ReasoningContentDeltaEvent,
    ReasoningStartedEvent,
    ReasoningStepEvent,
    SessionSummaryCompletedEvent,
    SessionSummaryStartedEvent,
)
from kern.run.event_content import (
    ModelRequestCompletedEvent,
    ModelRequestStartedEvent,
    RunContentCompletedEvent,
    RunContentEvent,
    RunContentVoidedEvent,
    RunIntermediateContentEvent,
)
from kern.run.metrics import Metrics
from kern.run.tool import ToolExecution

__all__ = [
    "CompactionCompletedEvent",
    "CompactionStartedEvent",
    "CompressionCompletedEvent",
    "CompressionStartedEvent",
    "CustomEvent",
    "FollowupsCompletedEvent",
    "FollowupsStartedEvent",
    "MemoryUpdateCompletedEvent",
    "MemoryUpdateStartedEvent",
    "ModelRequestCompletedEvent",
    "ModelRequestStartedEvent",
    "OutputModelResponseCompletedEvent",
    "OutputModelResponseStartedEvent",
    "ParserModelResponseCompletedEvent",
    "ParserModelResponseStartedEvent",
    "PostHookCompletedEvent",
    "PostHookStartedEvent",
    "PreHookCompletedEvent",
    "PreHookStartedEvent",
    "ReasoningCompletedEvent",
    "ReasoningContentDeltaEvent",
    "ReasoningStartedEvent",
    "ReasoningStepEvent",
    "RunCancelledEvent",
    "RunCompletedEvent",
    "RunContentCompletedEvent",
    "RunContentEvent",
    "RunContentVoidedEvent",
    "RunContinuedEvent",
    "RunErrorEvent",
    "RunEvent",
    "RunIntermediateContentEvent",
    "RunOutputEvent",
    "RunPausedEvent",
    "RunResumedEvent",
    "RunStartedEvent",
    "SessionSummaryCompletedEvent",
    "SessionSummaryStartedEvent",
    "ToolCallCompletedEvent",
    "ToolCallErrorEvent",
    "ToolCallStartedEvent",
    "class_of",
]


@dataclass(slots=True)
class RunStartedEvent(RunOutputEvent):
    """The run has begun.

    Attributes:
        model: the agent's model, where the reader's process knows it.
        model_provider: who serves it.

    Example:
        >>> kind = RunEvent.run_started
        >>> RunStartedEvent(kind, "run", "session", "agent", model="gpt-5.4-mini").model
        'gpt-5.4-mini'
    """

    model: str | None = field(default=None, kw_only=True, compare=False)
    model_provider: str | None = field(default=None, kw_only=True, compare=False)


@dataclass(slots=True)
class ToolCallStartedEvent(RunOutputEvent):
    """A tool was called.

    Example:
        >>> tool = ToolExecution("call_1", "search", '{"query": "heat pumps"}')
        >>> kind = RunEvent.tool_call_started
        >>> event = ToolCallStartedEvent(kind, "run", "session", "agent", tool=tool)
        >>> event.tool.tool_name, event.tool.tool_args
        ('search', {'query': 'heat pumps'})
    """

    tool: ToolExecution = field(kw_only=True)


@dataclass(slots=True)
class ToolCallCompletedEvent(RunOutputEvent):
    """A tool has returned.

    Attributes:
        images: the images that it made, as references, as for the next three.
        videos: videos.
        audio: recordings.
        files: other files.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> def add(a: int, b: int) -> int:
        ...     return a + b
        >>> model = ScriptedModel([Reply.tool_calls(("add", {"a": 2, "b": 3})), "Five."])
        >>> agent = Agent("Clerk", model, tools=[add])
        >>> for event in agent.run("What is 2 + 3?", stream=True, stream_events=True):
        ...     if isinstance(event, ToolCallCompletedEvent):
        ...         print(event.tool.tool_name, event.content)
        add 5
    """

    content: str = field(kw_only=True)
    tool: ToolExecution = field(kw_only=True)
    images: Any = field(default=None, kw_only=True, compare=False)
    videos: Any = field(default=None, kw_only=True, compare=False)
    audio: Any = field(default=None, kw_only=True, compare=False)
    files: Any = field(default=None, kw_only=True, compare=False)


@dataclass(slots=True)
class ToolCallErrorEvent(RunOutputEvent):
    """A tool has failed, or was not called.

    Example:
        >>> tool = ToolExecution("call_1", "search", "{}")
        >>> kind = RunEvent.tool_call_error
        >>> ToolCallErrorEvent(kind, "run", "session", "agent", tool=tool, content="Offline.").error
        'Offline.'
    """

    content: str = field(kw_only=True)
    tool: ToolExecution = field(kw_only=True)

    @property
    def error(self) -> str:
        """What went wrong: the same as the content."""
        return self.content


@dataclass
class CustomEvent(RunOutputEvent):
    """What a tool tells those who read the run's stream: a subclass says what it holds.

    Attributes:
        tool_call_id: the call in which it was told.

    Example:
        >>> @dataclass
        ... class Found(CustomEvent):
        ...     page: int = 0
        >>> Found(page=3).event, Found(page=3).page
        (<RunEvent.custom_event: 'CustomEvent'>, 3)
    """

    event: RunEvent = RunEvent.custom_event
    run_id: str = ""
    session_id: str = ""
    agent_id: str = ""
    tool_call_id: str | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class RunPausedEvent(RunOutputEvent):
    """The run waits for a person.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> from kern.tools import tool
        >>> @tool(requires_confirmation=True)
        ... def pay(amount: int) -> str:
        ...     return f"paid {amount}"
        >>> model = ScriptedModel([Reply.tool_calls(("pay", {"amount": 5}))])
        >>> agent = Agent("Cashier", model, tools=[pay])
        >>> for event in agent.run("Pay 5 euros.", stream=True):
        ...     if isinstance(event, RunPausedEvent):
        ...         print([each.tool_name for each in event.tools])
        ['pay']
    """

    @property
    @override
    def tools(self) -> list[ToolExecution]:
        """The calls that wait."""
        return [each.tool_execution for each in self.requirements]


class RunContinuedEvent(RunOutputEvent):
    """A person has decided, or has asked for a retry.

    Example:
        >>> kind = RunEvent.run_continued
        >>> RunContinuedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


class RunResumedEvent(RunOutputEvent):
    """A later attempt goes on with the run.

    Example:
        >>> kind = RunEvent.run_resumed
        >>> RunResumedEvent(kind, "run", "session", "agent", 7).seq
        7
    """

    __slots__ = ()


@dataclass(slots=True)
class RunCancelledEvent(RunOutputEvent):
    """The run was cancelled.

    Attributes:
        reason: why, where that was said.

    Example:
        >>> kind = RunEvent.run_cancelled
        >>> RunCancelledEvent(kind, "run", "session", "agent", reason="The user left.").reason
        'The user left.'
    """

    reason: str | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class RunErrorEvent(RunOutputEvent):
    """The run has failed, or an attempt at it has; then the events go on.

    Attributes:
        error_type: the class of what went wrong, such as ``"ModelError"``, where the run has ended
            of it.
        error_id: the kind of what a check has found.
        additional_data: what it says beside its message.

    Example:
        >>> kind = RunEvent.run_error
        >>> event = RunErrorEvent(kind, "run", "session", "agent", content="Slow down.")
        >>> event.error_type is None  # the attempt has failed, and the run goes on
        True
    """

    error_type: str | None = field(default=None, kw_only=True)
    error_id: str | None = field(default=None, kw_only=True)
    additional_data: dict[str, object] | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class RunCompletedEvent(RunOutputEvent):
    """The run has completed.

    Attributes:
        content_type: the type of the content, ``"str"`` for text.
        metrics: what the run used.
        metadata: what the caller attached.
        session_state: the state of its session, where it has one.
        reasoning_content: what the model says of how it came to its answer.
        reasoning_steps: the steps in which it did, where it thought in steps.
        citations: the sources that the answer names.
        references: what was found for it.
        images: the images that its model and its tools made, as for the next three.
        videos: videos.
        audio: recordings.
        files: other files.
        response_audio: the answer as sound.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import ScriptedModel
        >>> agent = Agent("Poet", ScriptedModel(["Roses are red."]))
        >>> *_, last = agent.run("A line, please.", stream=True, stream_events=True)
        >>> isinstance(last, RunCompletedEvent), last.content, last.metrics.model_calls
        (True, 'Roses are red.', 1)
    """

    content: Any = field(default=None, kw_only=True)
    content_type: str = field(default="str", kw_only=True)
    metrics: Metrics | None = field(default=None, kw_only=True, compare=False)
    metadata: dict[str, object] | None = field(default=None, kw_only=True)
    session_state: dict[str, object] | None = field(default=None, kw_only=True, compare=False)
    reasoning_content: str | None = field(default=None, kw_only=True)
    reasoning_steps: Any = field(default=None, kw_only=True)
    citations: Any = field(default=None, kw_only=True)
    references: Any = field(default=None, kw_only=True)
    images: Any = field(default=None, kw_only=True, compare=False)
    videos: Any = field(default=None, kw_only=True, compare=False)
    audio: Any = field(default=None, kw_only=True, compare=False)
    files: Any = field(default=None, kw_only=True, compare=False)
    response_audio: Any = field(default=None, kw_only=True, compare=False)


CLASSES.update(
    (kind, globals()[kind if kind is RunEvent.custom_event else f"{kind}Event"])
    for kind in RunEvent
)


def class_of(kind: RunEvent) -> type[RunOutputEvent]:
    """Return the class of the events of a kind."""
    return CLASSES[kind]
