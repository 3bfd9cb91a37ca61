"""The queue: which runs may begin. It is a hint; the claim of a run is what decides.

An entry says «this run may begin» to a process with a free slot, at least once. What makes a run
due enqueues it, in its own transaction, so this port only hands entries out. PgQueuer stands
behind it on PostgreSQL; SQLite and memory look into the table of the runs itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """A run that may begin.

    Attributes:
        run_id: the run.
        agent_id: its agent.
        key: by which the queue knows the entry; None where there is none to acknowledge.
    """

    run_id: str
    agent_id: str
    key: object = None


class Queue(ABC):
    """Hands due runs to processes with free slots.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def listen(self, on_due: Callable[[], None]) -> None:
        """Have ``on_due`` called whenever entries may have become due."""

    @abstractmethod
    async def dequeue(
        self, agent_ids: Sequence[str], limit: int, *, children_only: bool = False
    ) -> list[Entry]:
        """Take due entries: the children of runs before the others, then by priority and age.

        An entry that is not acknowledged within a heartbeat is handed out again, to any process.

        Args:
            agent_ids: whose runs are served here.
            limit: how many at most, from 1 on.
            children_only: only runs that calls of other runs have started.
        """

    @abstractmethod
    async def acknowledge(self, entry: Entry) -> None:
        """Forget an entry: its run was claimed, or has nothing to begin."""

    @abstractmethod
    async def put_back(self, entry: Entry, delay: float) -> None:
        """Have an entry handed out again after ``delay`` seconds, to any process; wake them all."""

    @abstractmethod
    async def next_due(self, agent_ids: Sequence[str]) -> float | None:
        """Return in how many seconds the next entry is due; None where none is on its way."""
