"""What kern needs of a database for sessions as users see them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from kern.db.listing import RunFilter
from kern.db.reading import Reading
from kern.db.users import MANY
from kern.errors import RunStateError
from kern.run.base import RunStatus
from kern.run.codec import decode_object, dump
from kern.run.identity import new_id
from kern.run.ownership import may_see
from kern.run.record import RunRecord

LIVE = (RunStatus.pending, RunStatus.running, RunStatus.paused)

ENDED = tuple(each for each in RunStatus if each.is_terminal)

COPIED = """agent_id, user_id, status, attempt, input, output, error, error_kind, usage, metadata,
    model, journal_version, priority, timeout, max_attempts, failures, usage_limits, output_schema,
    lineage, foreground, created_at, started_at, finished_at"""
"""The columns of a run that are the same in a copy of it."""

# The seconds between two looks at whether the session's runs have stopped.
_SOON, _LATER = 0.05, 1.0


class SessionRow(msgspec.Struct, frozen=True, gc=False):
    """The row of a session. ``state``, ``metadata``, ``summary`` and ``data`` are JSON text.

    ``state`` is a list of its keys, each with its value, both as JSON texts; ``metadata`` is that
    of its first run where it has none of its own; ``data`` is what users keep in ``session_data``
    and ``agent_data`` beside what has a column. ``session_type`` is None of an agent's.
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
    session_type: str | None = None


class SessionFilter(NamedTuple):
    """The sessions that are wanted; None stands for any.

    Attributes:
        user_id: whose they are.
        agent_id: the agent that began them.
        name: what their name holds, in upper or lower case.
        since: the moment from which on they were begun.
        until: the moment until which they were begun.
        agents: the agents that began them, where those of several are wanted; empty for any.
        is_of_team: whether a team has begun them.
    """

    user_id: str | None = None
    agent_id: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    agents: tuple[str, ...] = ()
    is_of_team: bool | None = None


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
        self,
        wanted: SessionFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool,
        after: str | None = None,
    ) -> list[SessionRow]:
        """Return sessions in the order in which they were begun.

        Args:
            wanted: which.
            limit: how many at most; None for all.
            offset: how many of the first ones to leave out; the more, the longer it takes.
            oldest_first: whether the first begun comes first, and not the last.
            after: the session after which they come in this order; it costs no more the later.
        """

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

    @abstractmethod
    async def copy(self, source: str, row: SessionRow, run_ids: Sequence[tuple[str, str]]) -> None:
        """Store a session with copies of another's state, of runs, their journals and blobs.

        Args:
            source: the other session.
            row: the new one; its state is the other's.
            run_ids: the runs in their order, each with the id of its copy.
        """

    async def fork(self, source: str, user_id: str | None) -> str | None:
        """Copy a session with all its runs that have ended, and return the id of the copy.

        What runs of the session say of each other the copies say of each other.

        Args:
            source: the session, as its user calls it.
            user_id: the user whose session it must be; None for any.

        Returns:
            None where there is no such session, or no run in it that has ended.
        """
        found = await self.get_for(source, user_id)
        if found is None:
            return None
        wanted = RunFilter(session_id=found.session_id, statuses=ENDED, seen_by=user_id)
        records = await self._reading.find(wanted, MANY)
        while records and (page := await self._reading.find(wanted, MANY, records[-1].run_id)):
            records += page
        if not records:
            return None
        copies = {each.run_id: new_id() for each in reversed(records)}
        session_id = new_id()
        await self.copy(found.session_id, _forked(found, session_id, copies), [*copies.items()])
        return session_id

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


def _forked(row: SessionRow, session_id: str, copies: Mapping[str, str]) -> SessionRow:
    """Return the row of a session's copy, which says where it comes from."""
    data, summary = decode_object(row.data), decode_object(row.summary)
    kept = data.get("session_data")
    data["session_data"] = {
        **(kept if isinstance(kept, dict) else {}),
        "forked_from_session_id": row.session_id,
    }
    if summary.get("run_id") in copies:  # The last run in it.
        summary["run_id"] = copies[str(summary["run_id"])]
    return msgspec.structs.replace(
        row,
        session_id=session_id,
        data=dump(data),
        summary=dump(summary) if summary else None,
        created_at=None,
    )
