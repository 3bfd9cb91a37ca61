"""What kern needs of a database to get rid of what is over: the port beside that of the runs."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import NamedTuple

from kern.db.erasing import BEHIND

PENDING_CANCELS_KEPT = timedelta(days=7)
"""How long a cancel waits for a run that has not arrived."""

WEBHOOKS_KEPT = timedelta(days=4)
"""How long a run is kept for a webhook that was not delivered: longer than it is tried."""

NEWEST = 1000
"""Among so many runs of a session one is looked for that has not ended."""


FIRST = -BEHIND
"""The position before all runs, also before those that are erased."""


class Pruned(NamedTuple):
    """What one step of pruning came to.

    Attributes:
        runs: how many runs were deleted, or would be.
        position: where the next step begins; None at the end.
    """

    runs: int
    position: int | None


class Retention(ABC):
    """Deletes what is over, a small step at a time.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def prune(
        self,
        before: datetime,
        position: int,
        most: int,
        *,
        deleting: bool = True,
        alone: bool = False,
    ) -> Pruned:
        """Delete runs that ended before a moment, with their events and blobs.

        Kept are: the finished runs of a session of whose last 1000 runs one has not ended, for
        they may be its history; runs whose tools have started one that has not ended; and for 4
        days those whose webhook was not delivered. A session goes with its last run, unless it
        has a state.

        Args:
            before: the moment, with a time zone.
            position: where to begin: :data:`FIRST`, or what the last step said.
            most: how many runs to look at, in the order in which they were accepted.
            deleting: delete them; or only count.
            alone: do nothing while another process is at it.
        """

    @abstractmethod
    async def clean(self) -> int:
        """Delete some of what nobody reads any more, and say how much.

        These are cancels of runs that have not arrived within 7 days, figures that are too old,
        and the queue's log.
        """
