"""The status of a run."""

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run is in its life.

    ``PENDING → RUNNING → COMPLETED | ERROR | CANCELLED``; a run that waits for a person is
    ``PAUSED``, and one whose executor let go or was lost is ``PENDING`` again.
    """

    pending = "PENDING"
    running = "RUNNING"
    paused = "PAUSED"
    completed = "COMPLETED"
    error = "ERROR"
    cancelled = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this status has ended for good."""
        return self in _TERMINAL


_TERMINAL = frozenset({RunStatus.completed, RunStatus.error, RunStatus.cancelled})
