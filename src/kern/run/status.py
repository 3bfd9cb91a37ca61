"""Where runs are in their lives."""

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run is in its life.

    ``PENDING → RUNNING → COMPLETED | ERROR | CANCELLED``; a run that waits for a person is
    ``PAUSED``, and one whose executor released it or was lost is ``PENDING`` again. ``REGENERATED``
    is one in whose place another stands: later runs are not shown it.

    Example:
        >>> RunStatus("PAUSED") is RunStatus.paused, RunStatus.paused.is_terminal
        (True, False)
    """

    pending = "PENDING"
    running = "RUNNING"
    paused = "PAUSED"
    completed = "COMPLETED"
    error = "ERROR"
    cancelled = "CANCELLED"
    regenerated = "REGENERATED"

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this status has ended for good."""
        return self in _TERMINAL


class CancellationStage(StrEnum):
    """Where a cancel has met a run.

    Example:
        >>> CancellationStage("tool") is CancellationStage.tool
        True
    """

    before_start = "before_start"
    model = "model"
    tool = "tool"
    after_end = "after_end"


_TERMINAL = frozenset(
    {RunStatus.completed, RunStatus.error, RunStatus.cancelled, RunStatus.regenerated}
)
