"""The processes that execute runs: the port beside that of the runs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or a loop in one, that executes runs.

    Attributes:
        executor: its name, which nobody else has.
        host: the machine.
        pid: the process's number there.
        agents: the ids of the agents that it serves.
        version: its version of kern.
        slots: how many runs it executes at once; None for any number.
        executing: how many it executed at its last beat.
        started_at: when it began.
        beat_at: when it was last seen alive, by the database's clock.
    """

    executor: str
    host: str
    pid: int
    agents: tuple[str, ...]
    version: str
    slots: int | None
    executing: int
    started_at: datetime | None = None
    beat_at: datetime | None = None


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
