"""Generated from ``kern/db/methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Sequence
from typing import Any, Literal, overload

from kern.aio.portal import finished
from kern.db.base import SessionType
from kern.db.methods import Methods
from kern.session.agent import AgentSession


class SyncMethods(Methods):
    """The methods of :class:`Methods`, for code without an event loop."""

    @overload
    def get_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        deserialize: Literal[True] = True,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | None: ...
    @overload
    def get_session(
        self,
        session_id: str,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        deserialize: bool = True,
        *,
        runs_limit: int | None = None,
    ) -> AgentSession | dict[str, Any] | None: ...
    def get_session(
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
        return finished(
            self.aget_session(session_id, session_type, user_id, deserialize, runs_limit=runs_limit)
        )

    @overload
    def get_sessions(
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
    def get_sessions(
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
    def get_sessions(
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
        return finished(
            self.aget_sessions(
                session_type,
                user_id,
                component_id,
                session_name,
                start_timestamp,
                end_timestamp,
                limit,
                page,
                sort_by,
                sort_order,
                deserialize,
            )
        )

    def upsert_session(
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
        return finished(self.aupsert_session(session, deserialize))

    def upsert_sessions(self, sessions: Sequence[AgentSession]) -> list[AgentSession]:
        """Store sessions, as :meth:`upsert_session` does, one after another."""
        return finished(self.aupsert_sessions(sessions))

    def rename_session(
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
        return finished(self.arename_session(session_id, session_type, session_name, user_id))

    def delete_session(
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
        return finished(self.adelete_session(session_id, user_id, timeout=timeout))

    def delete_sessions(self, session_ids: Sequence[str], user_id: str | None = None) -> None:
        """Delete sessions, as :meth:`delete_session` does, one after another."""
        return finished(self.adelete_sessions(session_ids, user_id))
