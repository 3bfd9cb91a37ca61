"""The queue: hands each entry to one process after another until one has done with it.

The journal makes a run safe to deliver more than once, so any at-least-once queue will do. It
stands behind this small port; PgQueuer does the work, in :mod:`kern.dispatch.pgqueuer`.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime

Deliver = Callable[[str, int], Awaitable[float | None]]

WEBHOOKS = "!webhook"
"""The topic of the runs whose end is to be told; no agent's topic looks like it."""


def topic_of(agent_id: str) -> str:
    """Return the topic of an agent's runs."""
    return f"/{agent_id}"


class Queue(ABC):
    """Delivers run ids, each at least once, by topic."""

    @abstractmethod
    async def enqueue(
        self,
        run_id: str,
        topic: str,
        *,
        priority: int = 0,
        run_at: datetime | None = None,
        again: bool = False,
    ) -> None:
        """Have a run delivered; one that is in the queue already stays there once.

        Args:
            run_id: the run.
            topic: whose business it is.
            priority: among the entries that are due the highest comes first.
            run_at: when it is due; by default now.
            again: have it delivered once more, though an entry of it may be on its way out.
        """

    @abstractmethod
    def serve(
        self, topic: str, deliver: Deliver, most: int | None = None, *, counts: bool = True
    ) -> None:
        """Take the entries of this topic, too, from now on.

        Args:
            topic: which entries.
            deliver: called with the run id, and how often its entry was put back before;
                returns None when done with it, else the seconds after which it is to be
                delivered again. Where it is cancelled, the entry is delivered again, to any
                process, at once.
            most: how many entries of the topic are under way at once, in all processes.
            counts: whether they count towards the process's limit.
        """

    @abstractmethod
    def take_place(self) -> bool:
        """Take a place among what is under way here, for a run that does not come from the queue.

        Returns:
            Whether there was one, which no entry of the queue waits for.
        """

    @abstractmethod
    def give_place_back(self) -> None:
        """Give back what :meth:`take_place` took."""

    @abstractmethod
    async def consume(self) -> None:
        """Deliver entries, many at a time, until :meth:`stop` or until the task is cancelled."""

    @abstractmethod
    def stop(self) -> None:
        """Take nothing new; :meth:`consume` returns when what is under way has ended."""

    @abstractmethod
    async def tidy(self) -> None:
        """Forget what is over, where the queue keeps that in this process's memory."""
