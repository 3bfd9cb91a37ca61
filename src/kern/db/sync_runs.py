"""Generated from ``kern/db/run_methods.py`` by ``scripts/generate_sync.py``."""

from typing import Any, Literal, overload

from kern.aio.portal import finished
from kern.db.run_methods import RunMethods
from kern.run.base import RunStatus
from kern.session.agent import AnyRun


class SyncRunMethods(RunMethods):
    """The methods of :class:`RunMethods`, for code without an event loop."""

    @overload
    def get_run(
        self, run_id: str, user_id: str | None = None, deserialize: Literal[True] = True
    ) -> AnyRun | None: ...
    @overload
    def get_run(
        self, run_id: str, user_id: str | None = None, deserialize: bool = True
    ) -> AnyRun | dict[str, Any] | None: ...
    def get_run(
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
        return finished(self.aget_run(run_id, user_id, deserialize))

    @overload
    def get_runs(
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
    def get_runs(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        page: int | None = None,
        deserialize: bool = True,
    ) -> list[AnyRun] | list[dict[str, Any]]: ...
    def get_runs(
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
        return finished(
            self.aget_runs(session_id, user_id, agent_id, status, limit, page, deserialize)
        )

    def upsert_run(self, run: AnyRun) -> AnyRun:
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
        return finished(self.aupsert_run(run))

    def delete_run(self, run_id: str, user_id: str | None = None) -> bool:
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
        return finished(self.adelete_run(run_id, user_id))
