"""What kern asks a database about runs: the part of its port that changes nothing."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from kern.db.listing import Load, RunFilter
from kern.db.states import States
from kern.db.users import Users
from kern.errors import RunNotFoundError
from kern.run.ownership import ids_of, may_see
from kern.run.record import JournalRow, RunRecord


class Reading(ABC):
    """What can be asked about the runs of an open database.

    Attributes:
        users: what of it belongs to whom.
        states: the states of its sessions.
    """

    users: Users
    states: States

    @abstractmethod
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        """Return a run, without its input unless that is asked for."""

    async def get_for(
        self, run_id: str, user_id: str | None, *, with_input: bool = False
    ) -> RunRecord | None:
        """Return the run that a user calls ``run_id``; see :mod:`kern.run.ownership`."""
        for found in await asyncio.gather(
            *(self.get(each, with_input=with_input) for each in ids_of(run_id, user_id))
        ):
            if found is not None and may_see(user_id, found.user_id):
                return found
        return None

    @abstractmethod
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        """Return runs, the last accepted first, without input and output.

        Args:
            wanted: which runs.
            limit: how many at most.
            before: the run before which they were accepted; by default there is none.
        """

    async def page(self, wanted: RunFilter, limit: int, before: str | None) -> list[RunRecord]:
        """Return runs as :meth:`find` does, with its ids as the user calls them.

        Raises:
            RunNotFoundError: there is no run ``before``.
        """
        user_id, last = wanted.user_id, before
        if user_id is not None and wanted.session_id is not None:
            session_id = await self.users.session_id(wanted.session_id, user_id)
            wanted = replace(wanted, session_id=session_id)
        if user_id is not None and before is not None:
            record = await self.get_for(before, user_id)
            last = None if record is None else record.run_id
        if last is not None or before is None:
            found = await self.find(wanted, limit, last)
            if found or last is None or await self.get(last) is not None:
                return found
        raise RunNotFoundError(f"There is no run {before!r} in {self}.")

    @abstractmethod
    async def held(self, run_id: str, executor: str) -> RunRecord | None:
        """Return a run that is RUNNING at this executor, with its input and ``last_seq``.

        By it an executor recognises what it was given by a statement whose answer was lost, or
        that was under way here when its caller was cancelled.
        """

    @abstractmethod
    async def before(self, run_id: str) -> list[str]:
        """Return the earlier runs for which a run of a session waits, the newest first."""

    @abstractmethod
    async def queued(self, agent_id: str) -> int:
        """Return how many of an agent's runs are due and have not begun."""

    @abstractmethod
    async def queued_of_user(self, user_id: str) -> int:
        """Return how many of a user's runs have not begun, also those that are not due."""

    @abstractmethod
    async def load(self) -> Load:
        """Return how many runs there are that have not ended."""

    @abstractmethod
    async def wanted(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        """Return of which running runs the cancel, or the events as they come, are asked for."""

    @abstractmethod
    async def children(self, run_id: str) -> list[str]:
        """Return what the calls of a run have started, and theirs, that has not ended."""

    @abstractmethod
    async def ended_children(self, run_id: str) -> list[tuple[str, int]]:
        """Return the runs that have ended of whose end a run is told, each with its last attempt.

        They are those with the webhook :data:`~kern.run.record.PARENT`, as they were accepted.
        """

    @abstractmethod
    async def usage_of_children(self, run_id: str) -> list[str]:
        """Return what the runs that the calls of a run have started, and theirs, have used.

        Returns:
            The usage of each that has ended or paused, as JSON text.
        """

    @abstractmethod
    async def usage_of_session(self, session_id: str) -> list[tuple[str, float]]:
        """Return the sums of what the runs of a session have used, by the names of metrics.

        Runs count once they have ended or paused. There are none where none has.
        """

    @abstractmethod
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        """Return the rows of a run's journal with numbers above ``after``, in order."""

    @abstractmethod
    async def history(
        self,
        session_id: str,
        before: str,
        limit: int,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
    ) -> list[tuple[str, str]]:
        """Return the session's last completed runs, oldest first: run ids, outputs as JSON text.

        They are looked for among the last 1000 runs of the session.

        Args:
            session_id: the session.
            before: the run id before which they were accepted.
            limit: how many at most.
            agent_id: the agent whose runs they are; None for any.
            user_id: the user whose runs they are, or nobody's; None for any.
        """

    @abstractmethod
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return runs in the order of their acceptance: run ids, outputs as JSON text."""
