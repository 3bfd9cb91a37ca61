"""What a database answers users who ask it for runs themselves."""

from typing import Any, Literal, overload

import msgspec

from kern.db.approval_methods import ApprovalMethods
from kern.db.base import Store
from kern.db.listing import RunFilter
from kern.db.stored import page_of, record_of
from kern.errors import InvalidInputError, RunStateError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import check_id, check_user
from kern.run.numbers import check_count
from kern.run.record import NewRun
from kern.session.agent import AnyRun


class RunMethods(ApprovalMethods):
    """The runs in a database, for who has no agent at hand."""

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
        store = await self.store()
        record = await store.get_for(run_id, check_user(user_id), with_input=True)
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
        _, offset = page_of(limit, page)
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

    async def _runs_of(self, session_id: str, limit: int, user_id: str | None) -> list[AnyRun]:
        if not limit:
            return []
        records = await (await self.store()).sessions.runs(session_id, limit, user_id=user_id)
        return [RunOutput.from_record(each) for each in records]

    async def _put_run(self, store: Store, run: AnyRun) -> None:
        record = record_of(run)
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


def _status(value: RunStatus | str) -> RunStatus:
    try:
        return RunStatus(str(value))
    except ValueError:
        known = ", ".join(RunStatus)
        raise InvalidInputError(f"status must be one of {known}, not {value!r:.50}.") from None
