"""What kern needs of a database to keep nothing of a run but that its id was used.

A run is marked first: one that is submitted with ``store=False`` is unstored from the beginning,
any other once somebody erases it. Nobody sees an unstored run that has ended, or one that somebody
erases. Then a statement of its own deletes what it was given, said and did; its row stays as a
tombstone, with ids, status and moments, until retention deletes it. A process that is lost in
between leaves a mark that the sweep finds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, cast

from kern.run.codec import decode_object, dump

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

IS_DESERTED = "foreground AND status IN ('PENDING', 'PAUSED')"
"""The condition that a child waits for a parent to go on with it which has ended, in SQL."""

IS_SEEN = "erased_at IS NULL AND NOT (unstored AND finished_at IS NOT NULL)"
"""The condition that a run is not erased, or about to be, in SQL."""


HAS_SUMMARY = """output{text} LIKE '%"compaction":%'"""
"""The condition that a run holds a summary of those before it, or a text that looks so, in SQL."""


def without_summary(output: str) -> str:
    """Return the output of a run without what sums up those before it."""
    try:
        values = decode_object(output)
    except ValueError:  # It is damaged, and nobody is told it.
        return output
    if (more := cast("dict[str, object] | None", values.get("more"))) is not None:
        more.pop("compaction", None)
    return dump(values)


class Family(NamedTuple):
    """Whom runs that were erased leave.

    Attributes:
        children: their children, which are unstored from now on.
        sessions: the sessions that were made with them.
    """

    children: list[str]
    sessions: list[str]


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
        """Erase those of the runs that are unstored and have ended, and their children.

        A session that was made with one of them goes, too, if there is nothing else in it.
        """
        left, sessions = list(run_ids), list[str]()
        while left:
            family = await self._erase(left[:MANY])
            left = [*left[MANY:], *family.children]
            sessions += family.sessions
        if sessions:
            await self._forget(sessions)

    async def sweep(self) -> None:
        """Erase what lost processes have left."""
        while left := await self._left():
            await self.erase(left)

    @abstractmethod
    async def _erase(self, run_ids: Sequence[str]) -> Family:
        """Erase the runs, and return whom they leave.

        A child that only its parent could have go on ends CANCELLED. With a run that somebody
        erases all its children go. With one that was only not to be stored those go that belonged
        to its process: what its tools have submitted to the background was accepted for others.
        """

    @abstractmethod
    async def _forget(self, session_ids: Sequence[str]) -> None:
        """Delete those of the sessions that have no run but erased ones, and nothing of users."""

    @abstractmethod
    async def _left(self) -> list[str]:
        """Return some unstored runs that have ended."""
