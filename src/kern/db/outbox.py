"""The webhooks that are to be sent: the port beside that of the runs.

What ends or pauses a run that has a webhook puts it here, in the same transaction. Each leaves by
being delivered or given up; both are terminal, and kept with the run. Those for the parents of runs
in the background are delivered inside (:mod:`kern.dispatch.telling`).
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import NamedTuple


class Delivery(NamedTuple):
    """A webhook to send.

    Attributes:
        delivery_id: the same for every try, another for every end or pause of a run.
        run_id: the run.
        attempt: the attempt that ended it; a later end is another delivery.
        tries: how many tries there were before.
    """

    delivery_id: str
    run_id: str
    attempt: int
    tries: int


class Outbox(ABC):
    """Hands webhooks out to be sent.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def take(self, limit: int, lease: float) -> list[Delivery]:
        """Take due deliveries, the longest due first; each is due again after ``lease`` seconds.

        Args:
            limit: how many at most.
            lease: seconds in which each is to be delivered, given up or postponed.
        """

    @abstractmethod
    async def delivered(self, delivery: Delivery) -> None:
        """Remember that the receiver has it."""

    @abstractmethod
    async def failed(self, delivery: Delivery, error: str, delay: float | None) -> None:
        """Remember a failed try.

        Args:
            delivery: what was tried.
            error: what went wrong, in a sentence.
            delay: the seconds before the next try; None where it is given up.
        """

    @abstractmethod
    async def next_at(self) -> datetime | None:
        """Return when the next delivery is due, by the database's clock; None for none."""
