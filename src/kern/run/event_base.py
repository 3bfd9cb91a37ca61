"""What all events of runs have in common, and their kinds."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from kern.media import Audio
from kern.run.codec import to_json_value
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution, with_text


class RunEvent(StrEnum):
    """The kinds of events in a run.

    Example:
        >>> RunEvent("RunContent") is RunEvent.run_content
        True
    """

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
    pre_hook_started = "PreHookStarted"
    pre_hook_completed = "PreHookCompleted"
    post_hook_started = "PostHookStarted"
    post_hook_completed = "PostHookCompleted"
    reasoning_started = "ReasoningStarted"
    reasoning_step = "ReasoningStep"
    reasoning_content_delta = "ReasoningContentDelta"
    reasoning_completed = "ReasoningCompleted"
    parser_model_response_started = "ParserModelResponseStarted"
    parser_model_response_completed = "ParserModelResponseCompleted"
    output_model_response_started = "OutputModelResponseStarted"
    output_model_response_completed = "OutputModelResponseCompleted"
    followups_started = "FollowupsStarted"
    followups_completed = "FollowupsCompleted"
    memory_update_started = "MemoryUpdateStarted"
    memory_update_completed = "MemoryUpdateCompleted"
    session_summary_started = "SessionSummaryStarted"
    session_summary_completed = "SessionSummaryCompleted"
    compression_started = "CompressionStarted"
    compression_completed = "CompressionCompleted"
    compaction_started = "CompactionStarted"
    compaction_completed = "CompactionCompleted"
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
        agent_name: the agent's name, where the reader's process knows it.
        parent_run_id: the run whose tool started this one.
        team_id: the team whose run it is, where the reader's process knows it as one; ``agent_id``
            is the same then.
        tool: the call that a ToolCallStarted, ToolCallCompleted or ToolCallError is about.
        requirements: what the run waits for, of a RunPaused.
        created_at: when, in seconds since 1970.

    Example:
        >>> from kern.run.event import RunContentEvent
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
    agent_name: str | None = field(default=None, kw_only=True, compare=False)
    parent_run_id: str | None = field(default=None, kw_only=True)
    team_id: str | None = field(default=None, kw_only=True, compare=False)
    tool: ToolExecution | None = field(default=None, kw_only=True)
    requirements: tuple[RunRequirement, ...] = field(default=(), kw_only=True)
    created_at: float = field(default_factory=time.time, kw_only=True)

    @property
    def tools(self) -> list[ToolExecution]:
        """The call that it is about, in a list; of a RunPaused those that wait for a person."""
        return [] if self.tool is None else [self.tool]

    @property
    def is_paused(self) -> bool:
        """Whether it says that the run waits for a person."""
        return self.event is RunEvent.run_paused

    @property
    def is_cancelled(self) -> bool:
        """Whether it says that the run was cancelled."""
        return self.event is RunEvent.run_cancelled

    @property
    def active_requirements(self) -> list[RunRequirement]:
        """The requirements that nobody has answered yet, of a RunPaused."""
        return [each for each in self.requirements if not each.is_resolved()]

    @property
    def response_audio(self) -> Audio | None:
        """The answer as sound, of a RunCompleted; None of all others."""
        return None

    def to_dict(self) -> dict[str, object]:
        """Return the event as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self, enc_hook=to_json_value)
        if self.tool is not None:
            values["tool"] = self.tool.to_dict()
        if self.team_id is None:  # As of all runs that are no team's.
            del values["team_id"]
        return values

    def to_json(self, indent: int | None = None) -> str:
        """Return the event as JSON text, indented by ``indent`` spaces where that is given."""
        return json.dumps(self.to_dict(), indent=indent)

    @staticmethod
    def from_dict(values: Mapping[str, object]) -> "RunOutputEvent":
        """Return the event that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        kind = RunEvent(str(values.get("event")))
        if isinstance(tool := values.get("tool"), dict):
            values = {**values, "tool": with_text(tool)}
        return msgspec.convert(values, CLASSES[kind])


CLASSES: dict[RunEvent, type[RunOutputEvent]] = {}
"""The class of the events of each kind; see :func:`kern.run.event.class_of`."""
