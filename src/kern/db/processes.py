"""The processes that execute runs: the port beside that of the runs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime

KEPT = 86_400.0
"""For how many seconds a process that is not seen alive any more is known."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or a loop in one, that executes runs.

    Attributes:
        executor: its name, which nobody else has.
        host: the machine.
        pid: the process's number there.
        agents: the ids of the agents that it serves.
        version: its version of kern.
        slots: how many background runs it executes at once; None where it does not say.
        executing: how many it executed at its last beat.
        heartbeat: after how many seconds without a sign of life it counts as lost.
        started_at: when it began.
        beat_at: when it was last seen alive, by the database's clock.
        silence: how many seconds ago that was, by the same clock.
    """

    executor: str
    host: str
    pid: int
    agents: tuple[str, ...]
    version: str
    slots: int | None
    executing: int
    heartbeat: float = 60.0
    started_at: datetime | None = None
    beat_at: datetime | None = None
    silence: float = field(default=0.0, compare=False)

    @property
    def is_alive(self) -> bool:
        """Whether it was seen alive within its heartbeat."""
        return self.silence <= self.heartbeat


class Processes(ABC):
    """Keeps which processes live.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def beat(self, process: Process) -> None:
        """Write down that a process lives now, and what it does."""

    @abstractmethod
    async def leave(self, executor: str) -> None:
        """Forget a process that has ended in good order."""

    @abstractmethod
    async def find(self, seen_within: float) -> list[Process]:
        """Return the processes that were seen alive within so many seconds, oldest first."""
