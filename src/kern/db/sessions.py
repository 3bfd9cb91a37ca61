"""What kern needs of a database for sessions as users see them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from kern.db.listing import RunFilter
from kern.db.reading import Reading
from kern.db.users import MANY
from kern.errors import RunStateError
from kern.run.base import RunStatus
from kern.run.ownership import may_see
from kern.run.record import RunRecord

LIVE = (RunStatus.pending, RunStatus.running, RunStatus.paused)

# The seconds between two looks at whether the session's runs have stopped.
_SOON, _LATER = 0.05, 1.0


class SessionRow(msgspec.Struct, frozen=True, gc=False):
    """The row of a session. ``state``, ``metadata``, ``summary`` and ``data`` are JSON text.

    ``state`` is a list of its keys, each with its value, both as JSON texts; ``metadata`` is that
    of its first run where it has none of its own; ``data`` is what users keep in ``session_data``
    and ``agent_data`` beside what has a column.
    """

    session_id: str
    agent_id: str = ""
    user_id: str | None = None
    name: str | None = None
    state: str | None = None
    metadata: str | None = None
    summary: str | None = None
    data: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class SessionFilter(NamedTuple):
    """The sessions that are wanted; None stands for any.

    Attributes:
        user_id: whose they are.
        agent_id: the agent that began them.
        name: what their name holds, in upper or lower case.
        since: the moment from which on they were begun.
        until: the moment until which they were begun.
    """

    user_id: str | None = None
    agent_id: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Preview(NamedTuple):
    """The beginning of a run: its session, and the first characters of its JSON texts."""

    session_id: str
    input: str
    output: str


class Sessions(ABC):
    """The sessions in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    def __init__(self, reading: Reading) -> None:
        """Ask ``reading`` about runs, and about users."""
        self._reading = reading

    @abstractmethod
    async def get(self, session_id: str) -> SessionRow | None:
        """Return a session."""

    @abstractmethod
    async def find(
        self, wanted: SessionFilter, limit: int | None, offset: int = 0, *, oldest_first: bool
    ) -> list[SessionRow]:
        """Return sessions in the order in which they were begun."""

    @abstractmethod
    async def count(self, wanted: SessionFilter) -> int:
        """Return how many sessions there are; the more, the longer it takes."""

    @abstractmethod
    async def put(self, row: SessionRow) -> bool:
        """Store a session but for its state, in the place of the one with its id.

        Args:
            row: the session; the moments are the database's, where it is there already.

        Returns:
            False where it is another user's.
        """

    @abstractmethod
    async def rename(self, session_id: str, name: str) -> bool:
        """Set the name of a session, and say whether there is one."""

    @abstractmethod
    async def summarize(self, session_id: str, run_id: str, attempt: int, summary: str) -> bool:
        """Set the summary of a session, where the attempt at its run is the newest one.

        Args:
            session_id: the session.
            run_id: the run that is the last in the summary; it is RUNNING.
            attempt: which attempt speaks.
            summary: the summary as JSON text.
        """

    @abstractmethod
    async def records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Return runs with their outputs, in the order of their acceptance."""

    @abstractmethod
    async def previews(self, session_ids: Sequence[str], many: int) -> list[Preview]:
        """Return the beginnings of the first completed runs of sessions, in their order.

        Args:
            session_ids: the sessions.
            many: how many runs of each; they are looked for among its first 1000.
        """

    @abstractmethod
    async def put_run(self, run: RunRecord) -> bool:
        """Store a run that has ended, in the place of the one with its id.

        Args:
            run: the run, with output, error, usage and metadata.

        Returns:
            False where that one has not ended, or is of another session or user.
        """

    @abstractmethod
    async def forget(self, session_id: str) -> bool:
        """Delete a session that has no run any more, and say whether there was one."""

    async def get_for(self, session_id: str, user_id: str | None) -> SessionRow | None:
        """Return the session that a user calls ``session_id``; see :mod:`kern.run.ownership`."""
        if user_id is not None:
            session_id = await self._reading.users.session_id(session_id, user_id)
        found = await self.get(session_id)
        return found if found is not None and may_see(user_id, found.user_id) else None

    async def runs(
        self,
        session_id: str,
        limit: int,
        statuses: Sequence[RunStatus] = (),
        *,
        user_id: str | None,
        without_children: bool = False,
    ) -> list[RunRecord]:
        """Return the newest runs of a session with their outputs, the oldest of them first.

        Args:
            session_id: the session.
            limit: how many runs at most.
            statuses: where they are; by default anywhere.
            user_id: the user who asks: a session without a user may have runs of others.
            without_children: whether to leave out those that tool calls of the others are.
        """
        wanted = RunFilter(
            session_id=session_id,
            statuses=tuple(statuses),
            seen_by=user_id,
            without_children=without_children,
        )
        found = await self._reading.find(wanted, limit)
        return await self.records([each.run_id for each in found])

    async def delete(
        self, session_id: str, cancel: Callable[[str], Awaitable[object]], timeout: float
    ) -> bool:
        """Cancel all runs of a session, delete them and the session; say whether there was one.

        Args:
            session_id: the session.
            cancel: cancels a run.
            timeout: the seconds for which to wait until running runs have stopped.

        Raises:
            RunStateError: some had not; they are cancelled, and what had ended is deleted.
        """
        give_up_at = asyncio.get_running_loop().time() + timeout
        everything, live = RunFilter(session_id=session_id), RunFilter(None, LIVE, session_id)
        deleted, pause = 0, _SOON
        for each in await self._reading.find(live, MANY):
            await cancel(each.run_id)
        while found := await self._reading.find(everything, MANY):
            gone = await self._reading.users.delete_runs([each.run_id for each in found])
            deleted += gone
            if gone:
                continue
            if asyncio.get_running_loop().time() > give_up_at:
                raise RunStateError(
                    f"Runs of the session {session_id!r} have not stopped within {timeout:g} s. "
                    "They are cancelled, and what had ended is deleted. Delete it again."
                )
            for each in await self._reading.find(live, MANY):
                await cancel(each.run_id)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LATER)
        return await self.forget(session_id) or deleted > 0
