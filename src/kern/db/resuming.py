"""How runs go on that stand still, and begin with what others have done."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from kern.db.values import ANYWHERE, Accepted, Resume
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord
from kern.run.state import StatePatch


class Resuming(ABC):
    """The part of :class:`~kern.db.base.Store` that has runs go on, once more or in another one."""

    @abstractmethod
    async def resume(
        self,
        run_id: str,
        status: RunStatus,
        attempt: int,
        rows: Sequence[JournalRow],
        how: Resume = ANYWHERE,
    ) -> RunRecord | None:
        """Have a run go on that stands still, and with it its paused ancestors.

        It is PENDING again, and enqueued; or RUNNING in its next attempt at an executor that asks
        for it, unless it has to wait for the session lock. Ancestors that wait for it become
        PENDING, but for those that belong to a caller. Its failures and its time begin anew.

        Args:
            run_id: the run.
            status: the status that it must have: PAUSED, ERROR for a retry, RUNNING where its
                executor is known to be gone, or PENDING to have it begin at an executor.
            attempt: the attempt that has brought it there.
            rows: to add to its journal.
            how: by whom, and what changes with it.

        Returns:
            The run, as a claim does; None where it had another status, or had it from another
            attempt, and nothing was changed.

        Raises:
            NewerJournalError: the run needs a newer version of the journal than its executor knows;
                it stands still as it did.
        """

    @abstractmethod
    async def wake_parent(self, run_id: str) -> None:
        """Make the run PENDING that is paused and waits for a child of its session.

        So do those that are paused and wait for it. One that belongs to a caller is left to that
        one.

        Args:
            run_id: the child, which has ended.
        """

    @abstractmethod
    async def expired_pauses(self, limit: int) -> list[str]:
        """Make paused runs PENDING that nobody has answered in time, and enqueue them.

        Those that belong to a caller are left to that one.

        Args:
            limit: how many at most, the longest expired first.

        Returns:
            The runs.
        """

    @abstractmethod
    async def follow(self, run: NewRun, ended: str, attempt: int) -> Accepted | None:
        """Accept a run that follows the end of another; see :meth:`submit`.

        Args:
            run: the run.
            ended: the other run.
            attempt: the attempt with which that has ended.

        Returns:
            None where it was not accepted: its id is in use, or the other run is not there any
            more, or has gone on.

        Raises:
            BudgetExceededError: its user has used up a budget.
        """

    @abstractmethod
    async def fork(
        self,
        run: NewRun,
        origin: str,
        seq: int,
        state: StatePatch | None = None,
        *,
        replaces: bool = False,
    ) -> Accepted | None:
        """Accept a run whose journal begins as another's does, up to a row; see :meth:`submit`.

        It has a copy of the other's blobs.

        Args:
            run: the run.
            origin: the other run.
            seq: the number of the row.
            state: what the steps that it begins with change in the state of its session.
            replaces: whether it stands in the other's place from now on, unless it is CANCELLED.

        Returns:
            None where it was not accepted: its id is in use, or the run that it was to replace is
            not there, or has been replaced before.

        Raises:
            BudgetExceededError: its user has used up a budget.
        """
