"""What happens in a run, as those who read its stream are told."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from kern.run.codec import to_json_value
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution


class RunEvent(StrEnum):
    """The kinds of events in a run."""

    run_started = "RunStarted"
    run_content = "RunContent"
    run_content_voided = "RunContentVoided"
    run_intermediate_content = "RunIntermediateContent"
    run_content_completed = "RunContentCompleted"
    model_request_started = "ModelRequestStarted"
    model_request_completed = "ModelRequestCompleted"
    tool_call_started = "ToolCallStarted"
    tool_call_completed = "ToolCallCompleted"
    tool_call_error = "ToolCallError"
    parser_model_response_started = "ParserModelResponseStarted"
    parser_model_response_completed = "ParserModelResponseCompleted"
    output_model_response_started = "OutputModelResponseStarted"
    output_model_response_completed = "OutputModelResponseCompleted"
    followups_started = "FollowupsStarted"
    followups_completed = "FollowupsCompleted"
    custom_event = "CustomEvent"
    run_paused = "RunPaused"
    run_continued = "RunContinued"
    run_resumed = "RunResumed"
    run_cancelled = "RunCancelled"
    run_error = "RunError"
    run_completed = "RunCompleted"


@dataclass(slots=True)
class RunOutputEvent:
    """One thing that happened in a run; its class is named after its kind, as ``RunContentEvent``.

    Attributes:
        event: its kind.
        run_id: the run it happened in.
        session_id: the session of the run.
        agent_id: the agent that runs.
        seq: its number within the run, from 1 on, without gaps: the same for every reader.
        content: the piece of text of a RunContent; the text that is void, of a RunContentVoided,
            which is that of the last pieces; the whole text of a ModelRequestCompleted or a
            secondary model's; what the run answered, of a RunContentCompleted or RunCompleted, the
            instance where it has a type; the result of a ToolCallCompleted or
            ToolCallError; what went wrong for a RunError.
        tool: the call that a ToolCallStarted, ToolCallCompleted or ToolCallError is about.
        requirements: what the run waits for, of a RunPaused.
        created_at: when, in seconds since 1970.

    Example:
        >>> event = RunContentEvent(RunEvent.run_content, "run", "session", "agent", content="Hi")
        >>> RunOutputEvent.from_dict(event.to_dict()) == event
        True
    """

    event: RunEvent
    run_id: str
    session_id: str
    agent_id: str
    seq: int = 0
    content: str | None = field(default=None, kw_only=True)
    tool: ToolExecution | None = field(default=None, kw_only=True)
    requirements: tuple[RunRequirement, ...] = field(default=(), kw_only=True)
    created_at: float = field(default_factory=time.time, kw_only=True)

    def to_dict(self) -> dict[str, object]:
        """Return the event as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self, enc_hook=to_json_value)
        return values

    @staticmethod
    def from_dict(values: Mapping[str, object]) -> "RunOutputEvent":
        """Return the event that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        return msgspec.convert(values, class_of(RunEvent(str(values.get("event")))))


@dataclass(slots=True)
class RunStartedEvent(RunOutputEvent):
    """The run has begun."""


@dataclass(slots=True)
class RunContentEvent(RunOutputEvent):
    """A piece of the model's text.

    Attributes:
        partial: what there is so far of an answer that has a type: lists, dicts and values of JSON,
            not checked yet; None where there is nothing, or no type.
    """

    content: str = field(kw_only=True)
    partial: Any = field(default=None, kw_only=True)


@dataclass(slots=True)
class RunContentVoidedEvent(RunOutputEvent):
    """The last pieces are void: their text is the content, and the model is asked again."""

    content: str = field(kw_only=True)


@dataclass(slots=True)
class RunIntermediateContentEvent(RunOutputEvent):
    """A piece of what a tool yields that is no part of the answer."""


@dataclass(slots=True)
class RunContentCompletedEvent(RunOutputEvent):
    """The run's content is complete.

    Attributes:
        content_type: the type of the content, ``"str"`` for text.
    """

    content: Any = field(default=None, kw_only=True)
    content_type: str = field(default="str", kw_only=True)


@dataclass(slots=True)
class ModelRequestStartedEvent(RunOutputEvent):
    """The model was asked."""


@dataclass(slots=True)
class ModelRequestCompletedEvent(RunOutputEvent):
    """The model has answered."""

    content: str = field(kw_only=True)


@dataclass(slots=True)
class ToolCallStartedEvent(RunOutputEvent):
    """A tool was called."""

    tool: ToolExecution = field(kw_only=True)


@dataclass(slots=True)
class ToolCallCompletedEvent(RunOutputEvent):
    """A tool has returned."""

    content: str = field(kw_only=True)
    tool: ToolExecution = field(kw_only=True)


@dataclass(slots=True)
class ToolCallErrorEvent(RunOutputEvent):
    """A tool has failed, or was not called."""

    content: str = field(kw_only=True)
    tool: ToolExecution = field(kw_only=True)


@dataclass(slots=True)
class ParserModelResponseStartedEvent(RunOutputEvent):
    """The parser model was asked."""


@dataclass(slots=True)
class ParserModelResponseCompletedEvent(RunOutputEvent):
    """The parser model has put the answer into its form."""


@dataclass(slots=True)
class OutputModelResponseStartedEvent(RunOutputEvent):
    """The output model was asked."""


@dataclass(slots=True)
class OutputModelResponseCompletedEvent(RunOutputEvent):
    """The output model has written the final answer."""


@dataclass(slots=True)
class FollowupsStartedEvent(RunOutputEvent):
    """A model was asked what the user may want to ask next."""


@dataclass(slots=True)
class FollowupsCompletedEvent(RunOutputEvent):
    """There are suggestions of what to ask next.

    Attributes:
        followups: the suggestions.
    """

    followups: tuple[str, ...] = field(default=(), kw_only=True)


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
    """The run waits for a person."""

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person: it does."""
        return True

    @property
    def active_requirements(self) -> list[RunRequirement]:
        """The requirements that nobody has answered yet."""
        return [each for each in self.requirements if not each.is_resolved]


@dataclass(slots=True)
class RunContinuedEvent(RunOutputEvent):
    """A person has decided, or has asked for a retry."""


@dataclass(slots=True)
class RunResumedEvent(RunOutputEvent):
    """A later attempt goes on with the run."""


@dataclass(slots=True)
class RunCancelledEvent(RunOutputEvent):
    """The run was cancelled."""


@dataclass(slots=True)
class RunErrorEvent(RunOutputEvent):
    """The run has failed, or an attempt at it has; then the events go on."""


@dataclass(slots=True)
class RunCompletedEvent(RunOutputEvent):
    """The run has completed.

    Attributes:
        content_type: the type of the content, ``"str"`` for text.
    """

    content: Any = field(default=None, kw_only=True)
    content_type: str = field(default="str", kw_only=True)


_CLASSES: dict[RunEvent, type[RunOutputEvent]] = {
    kind: globals()[f"{kind.value.removesuffix('Event')}Event"] for kind in RunEvent
}


def class_of(kind: RunEvent) -> type[RunOutputEvent]:
    """Return the class of the events of a kind."""
    return _CLASSES[kind]
