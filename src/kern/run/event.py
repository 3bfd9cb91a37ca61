"""What happens in a run, as those who read its stream are told."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import msgspec

from kern.run.base import RunStatus
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution


class RunEvent(StrEnum):
    """The kinds of events in a run."""

    run_started = "RunStarted"
    run_content = "RunContent"
    run_content_voided = "RunContentVoided"
    run_content_completed = "RunContentCompleted"
    model_request_started = "ModelRequestStarted"
    model_request_completed = "ModelRequestCompleted"
    tool_call_started = "ToolCallStarted"
    tool_call_completed = "ToolCallCompleted"
    tool_call_error = "ToolCallError"
    run_paused = "RunPaused"
    run_continued = "RunContinued"
    run_resumed = "RunResumed"
    run_cancelled = "RunCancelled"
    run_error = "RunError"
    run_completed = "RunCompleted"


ENDINGS = {
    RunStatus.completed: RunEvent.run_completed,
    RunStatus.error: RunEvent.run_error,
    RunStatus.cancelled: RunEvent.run_cancelled,
}
"""The event with which a run ends in a status."""


@dataclass(slots=True)
class RunOutputEvent:
    """One thing that happened in a run.

    Attributes:
        event: its kind.
        run_id: the run it happened in.
        session_id: the session of the run.
        agent_id: the agent that runs.
        seq: its number within the run, from 1 on.
        content: the piece of text of a RunContent; the whole text of a ModelRequestCompleted,
            RunContentCompleted or RunCompleted; what went wrong for a RunError.
        tool: the call that a ToolCallStarted, ToolCallCompleted or ToolCallError is about.
        requirements: what the run waits for, of a RunPaused.
        created_at: when, in seconds since 1970.
    """

    event: RunEvent
    run_id: str
    session_id: str
    agent_id: str
    seq: int = 0
    content: str | None = None
    tool: ToolExecution | None = None
    requirements: list[RunRequirement] = field(default_factory=list)
    created_at: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, object]:
        """Return the event as JSON values."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the event that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            ValueError: a value is missing, or of another kind.
        """
        return msgspec.convert(values, cls)
