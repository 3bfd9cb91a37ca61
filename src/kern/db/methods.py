"""What a database answers users who ask it for sessions themselves."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, overload

import msgspec

from kern.aio.portal import finished
from kern.db.base import SessionType
from kern.db.memory_methods import MemoryMethods
from kern.db.run_methods import RunMethods
from kern.db.sessions import SessionFilter, SessionRow
from kern.db.stored import moment, page_of, row_of, session_of_row
from kern.errors import InvalidInputError
from kern.run.codec import check_id, check_user
from kern.run.numbers import check_count, check_seconds
from kern.run.state import difference, texts_of
from kern.session.agent import AgentSession

_NEVER = datetime.fromtimestamp(0, UTC)

RUNS = 1000
"""How many runs of a session are read where nobody says how many: the newest."""


class Methods(RunMethods, MemoryMethods):
    """The sessions and runs in a database, for who has no agent at hand."""

    @overload
    async def aget_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        deserialize: Literal[True] = True,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | None: ...

    @overload
    async def aget_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        deserialize: bool = True,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | dict[str, Any] | None: ...

    async def aget_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        deserialize: bool = True,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | dict[str, Any] | None:
        """Return a session, or None where there is none, or it is another user's.

        Args:
            session_id: the session.
            session_type: whose it must be, ``"agent"`` or ``"team"``; by default of either.
            user_id: the user whose session it must be; by default any.
            deserialize: False for its JSON values, with its runs, in the place of the object.
            runs_limit: read so many of its runs with it, the newest; by default they are read on
                first use, at most 1000.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        check_id("session_id", session_id)
        check_user(user_id)
        limit = RUNS if runs_limit is None else check_count("runs_limit", runs_limit, least=0)
        is_of_team = _is_of_team(session_type)
        store = await self.store()
        row = await store.sessions.get_for(session_id, user_id)
        if row is None or is_of_team not in (None, row.session_type is not None):
            return None
        session = self._session(row, user_id)
        if runs_limit is not None or not deserialize:
            session.runs = await self._runs_of(row.session_id, limit, user_id)
        return session if deserialize else session.to_dict()

    @overload
    async def aget_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        session_name: str | None = None,
        start_timestamp: float | None = None,
        end_timestamp: float | None = None,
        limit: int | None = 1000,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: Literal[True] = True,
    ) -> list[AgentSession]: ...

    @overload
    async def aget_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        session_name: str | None = None,
        start_timestamp: float | None = None,
        end_timestamp: float | None = None,
        limit: int | None = 1000,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool = True,
    ) -> list[AgentSession] | tuple[list[dict[str, Any]], int]: ...

    async def aget_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        session_name: str | None = None,
        start_timestamp: float | None = None,
        end_timestamp: float | None = None,
        limit: int | None = 1000,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool = True,
    ) -> list[AgentSession] | tuple[list[dict[str, Any]], int]:
        """Return sessions, by default the last begun first.

        Args:
            session_type: only those of an ``"agent"``, or of a ``"team"``.
            user_id: only those of this user.
            component_id: only those that this agent has begun.
            session_name: only those whose name holds this, in upper or lower case.
            start_timestamp: only those begun from this moment on, in seconds since 1970.
            end_timestamp: only those begun until this moment.
            limit: how many at most; None for all.
            page: which page of ``limit``, from 1 on; the later, the longer it takes.
            sort_by: ``"created_at"``, by which there is an index. With ``"updated_at"`` the same
                sessions are on a page, sorted there by when they were last changed.
            sort_order: ``"desc"`` or ``"asc"``.
            deserialize: False for their JSON values, without their runs, and how many there are
                on all pages; the more, the longer it takes to count them.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        wanted = SessionFilter(
            check_user(user_id),
            None if component_id is None else check_id("component_id", component_id),
            session_name,
            moment("start_timestamp", start_timestamp),
            moment("end_timestamp", end_timestamp),
            is_of_team=_is_of_team(session_type),
        )
        limit, offset = page_of(limit, page)
        oldest_first = _oldest_first(sort_by, sort_order)
        sessions = (await self.store()).sessions
        rows = await sessions.find(wanted, limit, offset, oldest_first=oldest_first)
        if sort_by == "updated_at":
            rows.sort(key=lambda row: row.updated_at or _NEVER, reverse=not oldest_first)
        found = [self._session(row, user_id) for row in rows]
        if deserialize:
            return found
        return [each.body() for each in found], await sessions.count(wanted)

    async def aupsert_session(
        self, session: AgentSession, deserialize: bool = True
    ) -> AgentSession | None:
        """Store a session, in the place of the one with its id, and the runs that were put there.

        Its state is replaced only where it was changed on this object.

        Args:
            session: the session.
            deserialize: False to get nothing back.

        Raises:
            InvalidInputError: it holds what is no JSON, or a run that has not ended.
            RunStateError: a run of that id is under way, or another session's or user's.
            DatabaseError: it could not be stored.
        """
        if not isinstance(session, AgentSession):
            raise InvalidInputError(f"Pass an AgentSession, not {type(session).__name__}.")
        store = await self.store()
        row, data = row_of(session), session.session_data
        state = texts_of(data.get("session_state") or {})
        if row.user_id is not None:
            session_id = await store.users.session_id(row.session_id, row.user_id)
            row = msgspec.structs.replace(row, session_id=session_id)
        if not await store.sessions.put(row):
            raise InvalidInputError(
                f"There is a session {row.session_id!r} of another user. Name that user, or choose "
                "another id."
            )
        if (patch := difference(session.stored_state, state)) is not None:
            await store.states.change(row.session_id, patch)
            session.stored_state = state
        for run in session.changed_runs:
            await self._put_run(store, run)
        stored = await store.sessions.get(row.session_id) if deserialize else None
        return None if stored is None else self._session(stored, session.user_id)

    async def aupsert_sessions(self, sessions: Sequence[AgentSession]) -> list[AgentSession]:
        """Store sessions, as :meth:`aupsert_session` does, one after another."""
        stored = [await self.aupsert_session(each) for each in sessions]
        return [each for each in stored if each is not None]

    async def arename_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        session_name: str = "",
        user_id: str | None = None,
    ) -> AgentSession | None:
        """Set the name of a session.

        Args:
            session_id: the session.
            session_type: whose it must be, ``"agent"`` or ``"team"``; by default of either.
            session_name: its name.
            user_id: the user whose session it must be; by default any.

        Returns:
            The session; None where there is none, or it is another user's.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be stored.
        """
        check_id("session_id", session_id)
        check_id("session_name", session_name)
        check_user(user_id)
        is_of_team = _is_of_team(session_type)
        sessions = (await self.store()).sessions
        row = await sessions.get_for(session_id, user_id)
        if row is None or is_of_team not in (None, row.session_type is not None):
            return None
        if not await sessions.rename(row.session_id, session_name):
            return None
        return self._session(msgspec.structs.replace(row, name=session_name), user_id)

    async def adelete_session(
        self, session_id: str, user_id: str | None = None, *, timeout: float = 60.0
    ) -> bool:
        """Cancel the runs of a session, and delete it with all of them.

        Args:
            session_id: the session.
            user_id: the user whose session it must be; by default any.
            timeout: the seconds for which to wait until running runs have stopped.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            RunStateError: some runs had not stopped in time; they are kept, and cancelled.
            DatabaseError: the database refused, or is away; delete it again.
        """
        check_id("session_id", session_id)
        check_user(user_id)
        timeout = check_seconds("timeout", timeout, from_zero=True)
        store = await self.store()
        row = await store.sessions.get_for(session_id, user_id)
        if row is None:
            return False
        return await store.sessions.delete(row.session_id, store.cancel, timeout)

    async def adelete_sessions(
        self, session_ids: Sequence[str], user_id: str | None = None
    ) -> None:
        """Delete sessions, as :meth:`adelete_session` does, one after another."""
        for session_id in session_ids:
            await self.adelete_session(session_id, user_id)

    def _session(self, row: SessionRow, user_id: str | None) -> AgentSession:
        """Return a session as a user sees it; its runs are read on their first use."""
        return session_of_row(row, lambda: finished(self._runs_of(row.session_id, RUNS, user_id)))


def _is_of_team(session_type: object) -> bool | None:
    """Say whether a team's sessions are asked for, or an agent's; None for both.

    Raises:
        InvalidInputError: there are none of this type.
    """
    if session_type is None:
        return None
    given = getattr(session_type, "value", session_type)
    if given in ("agent", "team"):
        return given == "team"
    also = " kern has no workflows." if given == "workflow" else ""
    raise InvalidInputError(
        f"session_type must be one of 'agent', 'team', not {session_type!r:.50}.{also}"
    )


def _oldest_first(sort_by: object, sort_order: object) -> bool:
    if sort_by not in (None, "created_at", "updated_at"):
        raise InvalidInputError(
            f"sort_by must be 'created_at', or 'updated_at' within a page, not {sort_by!r:.50}: "
            "there is no index by anything else."
        )
    if sort_order not in (None, "asc", "desc"):
        raise InvalidInputError(f"sort_order must be 'asc' or 'desc', not {sort_order!r:.50}.")
    return sort_order == "asc"
