"""What a database answers users who ask it for sessions and runs themselves."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, overload

import msgspec

from kern.aio.portal import finished
from kern.db.base import SessionType, Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.db.sessions import SessionFilter, SessionRow
from kern.errors import InvalidInputError, RunStateError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import check_id, check_user, decode_object, encode, parse
from kern.run.input import RunInput
from kern.run.numbers import check_count, check_seconds
from kern.run.record import NewRun, RunRecord
from kern.session.agent import AgentSession, AnyRun
from kern.session.summary import SessionSummary

RUNS = 1000
"""How many runs of a session are read where nobody says how many: the newest."""


class Methods(Database):
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
            session_type: the kind of session; there is ``"agent"``.
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
        if not _are_agents(session_type):
            return None
        store = await self.store()
        row = await store.sessions.get_for(session_id, user_id)
        if row is None:
            return None
        session = self._session(row)
        if runs_limit is not None or not deserialize:
            session.runs = await self._runs_of(row.session_id, limit)
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
            session_type: the kind of sessions; there is ``"agent"``.
            user_id: only those of this user.
            component_id: only those that this agent has begun.
            session_name: only those whose name holds this, in upper or lower case.
            start_timestamp: only those begun from this moment on, in seconds since 1970.
            end_timestamp: only those begun until this moment.
            limit: how many at most; None for all.
            page: which page of ``limit``, from 1 on; the later, the longer it takes.
            sort_by: ``"created_at"``, by which there is an index; nothing else.
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
            _moment("start_timestamp", start_timestamp),
            _moment("end_timestamp", end_timestamp),
        )
        limit, offset = _page(limit, page)
        oldest_first = _oldest_first(sort_by, sort_order)
        if not _are_agents(session_type):
            return [] if deserialize else ([], 0)
        sessions = (await self.store()).sessions
        rows = await sessions.find(wanted, limit, offset, oldest_first=oldest_first)
        found = [self._session(row) for row in rows]
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
        row, state = _row(session)
        if row.user_id is not None:
            session_id = await store.users.session_id(row.session_id, row.user_id)
            row = msgspec.structs.replace(row, session_id=session_id)
        stored = await store.sessions.put(row, with_state=state != session.stored_state)
        if stored is None:
            raise InvalidInputError(
                f"There is a session {row.session_id!r} of another user. Name that user, or choose "
                "another id."
            )
        session.stored_state = state
        for run in session.changed_runs:
            await self._put_run(store, run)
        return self._session(stored) if deserialize else None

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
            session_type: the kind of session; there is ``"agent"``.
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
        if not _are_agents(session_type):
            return None
        sessions = (await self.store()).sessions
        row = await sessions.get_for(session_id, user_id)
        if row is None or not await sessions.rename(row.session_id, session_name):
            return None
        return self._session(msgspec.structs.replace(row, name=session_name))

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

    @overload
    async def aget_run(
        self, run_id: str, user_id: str | None = None, deserialize: Literal[True] = True
    ) -> AnyRun | None: ...

    @overload
    async def aget_run(
        self, run_id: str, user_id: str | None = None, deserialize: bool = True
    ) -> AnyRun | dict[str, Any] | None: ...

    async def aget_run(
        self, run_id: str, user_id: str | None = None, deserialize: bool = True
    ) -> AnyRun | dict[str, Any] | None:
        """Return a run as it stands, or None where there is none, or it is another user's.

        Its content is JSON, where an agent's ``get_run_output`` has the type.

        Args:
            run_id: the run.
            user_id: the user whose run it must be; by default any.
            deserialize: False for its JSON values.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        check_id("run_id", run_id)
        record = await (await self.store()).get_for(run_id, check_user(user_id))
        if record is None:
            return None
        run: AnyRun = RunOutput.from_record(record)
        return run if deserialize else run.to_dict()

    @overload
    async def aget_runs(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        page: int | None = None,
        deserialize: Literal[True] = True,
    ) -> list[AnyRun]: ...

    @overload
    async def aget_runs(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        page: int | None = None,
        deserialize: bool = True,
    ) -> list[AnyRun] | list[dict[str, Any]]: ...

    async def aget_runs(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        page: int | None = None,
        deserialize: bool = True,
    ) -> list[AnyRun] | list[dict[str, Any]]:
        """Return runs, the last accepted first.

        Args:
            session_id: only those of this session.
            user_id: only those of this user.
            agent_id: only those of this agent.
            status: only those that are there.
            limit: how many at most.
            page: which page of ``limit``, from 1 on; the later, the longer it takes.
            deserialize: False for their JSON values.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        wanted = RunFilter(
            None if agent_id is None else check_id("agent_id", agent_id),
            () if status is None else (_status(status),),
            None if session_id is None else check_id("session_id", session_id),
            check_user(user_id),
        )
        limit = check_count("limit", limit)
        _, offset = _page(limit, page)
        store = await self.store()
        found = (await store.page(wanted, offset + limit, None))[offset:]
        records = await store.sessions.records([each.run_id for each in found])
        runs: list[AnyRun] = [RunOutput.from_record(each) for each in reversed(records)]
        return runs if deserialize else [run.to_dict() for run in runs]

    async def aupsert_run(self, run: AnyRun) -> AnyRun:
        """Store a run that has ended, in the place of the one with its id.

        Its session is made where there is none. What is stored so has no journal: it is read, and
        shown to later runs of the session.

        Args:
            run: the run.

        Raises:
            InvalidInputError: it has not ended, or holds what is no JSON.
            RunStateError: a run of that id is under way, or another session's or user's.
            DatabaseError: it could not be stored.
        """
        await self._put_run(await self.store(), run)
        return run

    async def adelete_run(self, run_id: str, user_id: str | None = None) -> bool:
        """Delete a run that has ended, with all that goes with it.

        Args:
            run_id: the run.
            user_id: the user whose run it must be; by default any.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            RunStateError: it has not ended; cancel it first.
            DatabaseError: it could not be deleted.
        """
        check_id("run_id", run_id)
        store = await self.store()
        record = await store.get_for(run_id, check_user(user_id))
        if record is None:
            return False
        if await store.users.delete_runs([record.run_id]):
            return True
        raise RunStateError(
            f"Run {record.run_id} is {record.status.value}, and only one that has ended can be "
            "deleted. Cancel it first."
        )

    async def _runs_of(self, session_id: str, limit: int) -> list[AnyRun]:
        if not limit:
            return []
        records = await (await self.store()).sessions.runs(session_id, limit)
        return [RunOutput.from_record(each) for each in records]

    async def _put_run(self, store: Store, run: AnyRun) -> None:
        record = _record(run)
        chosen = ("run_id", "session_id")
        new = NewRun(
            record.run_id,
            record.session_id,
            record.agent_id,
            record.user_id,
            record.input or "",
            chosen=chosen,
        )
        placed = await store.users.place(new)
        if record.user_id is None:
            await store.users.enter(new)
        record = msgspec.structs.replace(record, run_id=placed.run_id, session_id=placed.session_id)
        if not await store.sessions.put_run(record):
            raise RunStateError(
                f"Run {record.run_id} was not stored: a run of this id has not ended, or is of "
                "another session or user."
            )

    def _session(self, row: SessionRow) -> AgentSession:
        """Return a session as it is stored; its runs are read on their first use."""
        return session_of_row(row, lambda: finished(self._runs_of(row.session_id, RUNS)))


def session_of_row(
    row: SessionRow, load_runs: Callable[[], list[AnyRun]] | None = None
) -> AgentSession:
    """Return a session as it is stored.

    Args:
        row: the session.
        load_runs: reads its runs on their first use.
    """
    data = decode_object(row.data)
    session_data = _object(data.get("session_data")) or {}
    if row.session_state is not None:
        session_data["session_state"] = parse(row.session_state)
    if row.name is not None:
        session_data["session_name"] = row.name
    session = AgentSession(
        row.session_id,
        row.agent_id or None,
        row.user_id,
        session_data,
        _object(None if row.metadata is None else parse(row.metadata)),
        _object(data.get("agent_data")),
        None,
        None if row.summary is None else SessionSummary.from_dict(decode_object(row.summary)),
        _seconds(row.created_at),
        _seconds(row.updated_at),
        load_runs=load_runs,
    )
    session.stored_state = row.session_state
    return session


def _row(session: AgentSession) -> tuple[SessionRow, str | None]:
    """Return the row of a session, and its state as JSON text."""
    rest = dict(session.session_data)
    state, name = rest.pop("session_state", None), rest.pop("session_name", None)
    rest.pop("session_metrics", None)  # It is counted where somebody asks for it.
    kept = {"session_data": rest, "agent_data": session.agent_data}
    data = {key: value for key, value in kept.items() if value}
    state_text = None if state is None else encode(state, "session_state")
    created_at = session.created_at
    return SessionRow(
        check_id("session_id", session.session_id),
        session.agent_id or "",
        check_user(session.user_id),
        None if name is None else check_id("session_name", name),
        state_text,
        None if session.metadata is None else encode(session.metadata, "metadata"),
        None if session.summary is None else encode(session.summary.to_dict(), "summary"),
        encode(data, "session_data, or agent_data,") if data else None,
        None if created_at is None else _moment("created_at", created_at),
    ), state_text


def _record(run: AnyRun) -> RunRecord:
    if not isinstance(run, RunOutput):
        raise InvalidInputError(f"Pass a RunOutput, not {type(run).__name__}.")
    if not run.status.is_terminal:
        raise InvalidInputError(
            f"Run {run.run_id} is {run.status.value}: only a run that has ended can be stored."
        )
    settlement = run.settlement(run.attempt)
    asked = tuple(each for each in run.messages if each.role == "user")
    return RunRecord(
        check_id("run_id", run.run_id),
        check_id("session_id", run.session_id),
        check_id("agent_id", run.agent_id),
        check_user(run.user_id),
        run.status,
        run.attempt,
        datetime.fromtimestamp(run.created_at, UTC),
        _moment("started_at", run.started_at),
        _moment("finished_at", run.finished_at),
        None if run.metadata is None else encode(run.metadata, "metadata"),
        settlement.output,
        settlement.error,
        error_kind=run.error_kind,
        usage=settlement.usage,
        input=RunInput(asked).to_json(),
        parent_run_id=run.parent_run_id,
    )


def _are_agents(session_type: object) -> bool:
    """Say whether an agent's sessions are asked for."""
    if session_type is None:
        return True
    try:
        kind = SessionType(getattr(session_type, "value", session_type))
    except ValueError:
        known = ", ".join(repr(each.value) for each in SessionType)
        raise InvalidInputError(
            f"session_type must be one of {known}, not {session_type!r:.50}."
        ) from None
    return kind is SessionType.AGENT


def _oldest_first(sort_by: object, sort_order: object) -> bool:
    if sort_by not in (None, "created_at"):
        raise InvalidInputError(
            f"sort_by must be 'created_at', not {sort_by!r:.50}: by that there is an index, so the "
            "list costs the same among a million sessions."
        )
    if sort_order not in (None, "asc", "desc"):
        raise InvalidInputError(f"sort_order must be 'asc' or 'desc', not {sort_order!r:.50}.")
    return sort_order == "asc"


def _page(limit: int | None, page: int | None) -> tuple[int | None, int]:
    """Return how many there are on a page, and how many before it."""
    if limit is not None:
        check_count("limit", limit)
    if page is None:
        return limit, 0
    check_count("page", page)
    if limit is None:
        raise InvalidInputError("page: say how long a page is, with limit.")
    return limit, limit * (page - 1)


def _status(value: RunStatus | str) -> RunStatus:
    try:
        return RunStatus(str(value))
    except ValueError:
        known = ", ".join(RunStatus)
        raise InvalidInputError(f"status must be one of {known}, not {value!r:.50}.") from None


def _moment(name: str, seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InvalidInputError(
            f"{name} must be a number of seconds since 1970, not {seconds!r:.50}."
        ) from None


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
