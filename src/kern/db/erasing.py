"""What kern needs of a database to keep nothing of a run but that its id was used.

A run is marked first: one that is submitted with ``store=False`` is unstored from the beginning,
any other once somebody erases it. Nobody sees an unstored run that has ended, or one that somebody
erases. Then a statement of its own deletes what it was given, said and did; its row stays as a
tombstone, with ids, status and moments, until retention deletes it. A process that is lost in
between leaves a mark that the sweep finds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

MANY = 200
"""How many runs a statement erases at most."""

EMPTIED = (
    *("input", "output", "error", "error_kind", "usage", "metadata", "requirements", "model"),
    *("refusal", "webhook", "executor", "traceparent", "usage_limits", "output_schema", "lineage"),
    *("replaced_by", "concurrency_key"),
)
"""The columns of a run of which a tombstone keeps nothing."""

BEHIND = 2**62
"""What is taken from the position of an erased run: it comes before all that are not.

So a list ends before it comes to the tombstones, however many there are, by the same indexes.
"""

POSITION = f"position & {BEHIND - 1}"
"""The position at which a run was accepted, erased or not, in SQL."""

IS_SEEN = "erased_at IS NULL AND NOT (unstored AND finished_at IS NOT NULL)"
"""The condition that a run is not erased, or about to be, in SQL."""


class Erasing(ABC):
    """Erases runs of an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def hide(self, run_id: str) -> bool | None:
        """Have nobody see a run from now on that has ended, or stops; it is to be erased.

        Returns:
            Whether that was done; False where it is erased already, or not known. None where it
            has to be cancelled first.
        """

    async def erase(self, run_ids: Sequence[str]) -> None:
        """Erase those of the runs that are unstored and have ended, and their children."""
        left = list(run_ids)
        while left:
            left = [*left[MANY:], *await self._erase(left[:MANY])]

    async def sweep(self) -> None:
        """Erase what lost processes have left."""
        while left := await self._left():
            await self.erase(left)

    @abstractmethod
    async def _erase(self, run_ids: Sequence[str]) -> list[str]:
        """Erase the runs, and return their children, which are unstored from now on.

        With a run that somebody erases all its children go. With one that was only not to be
        stored those go that belonged to its process: what its tools have submitted to the
        background was accepted for others.
        """

    @abstractmethod
    async def _left(self) -> list[str]:
        """Return some unstored runs that have ended."""
