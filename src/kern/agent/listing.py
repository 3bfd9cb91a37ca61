"""The verbs with which an agent's runs are looked through, and their synchronous twins."""

from dataclasses import replace

from kern.agent.options import check_count
from kern.agent.verbs import AgentVerbs
from kern.aio.portal import portal
from kern.db.listing import RunFilter
from kern.errors import InvalidInputError, RunNotFoundError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import check_id


class ListingVerbs(AgentVerbs):
    """An agent's verbs for looking through its runs."""

    async def alist_runs(
        self,
        *,
        status: RunStatus | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunOutput]:
        """Return the agent's runs, the last accepted first.

        What the runs have produced is left out, for it may be large: ``content``, ``messages``,
        ``tools``, ``model`` and ``model_provider`` are empty; :meth:`aget_run_output` has them.
        Ids, status, error, metadata, metrics and ``created_at`` are as they stand.

        Args:
            status: only those that are there.
            session_id: only those of this conversation.
            user_id: only those of this user.
            limit: how many at most.
            before: the last run of the page before; by default the first page is returned.

        Raises:
            RunNotFoundError: there is no run ``before``, or none any more.
            InvalidInputError: an argument cannot be used.
            ConfigurationError: the agent has no db.
            DatabaseError: they could not be read.
        """
        wanted = RunFilter(
            agent_id=self.id,
            statuses=() if status is None else (_status(status),),
            session_id=None if session_id is None else check_id("session_id", session_id),
            user_id=None if user_id is None else check_id("user_id", user_id),
        )
        if before is not None:
            check_id("before", before)
        limit = check_count("limit", limit)
        store = (await self._runtime()).store
        records = await store.find(wanted, limit, before)
        if not records and before is not None and await store.get(before) is None:
            raise RunNotFoundError(f"There is no run {before!r} in {self.db}.")
        return [replace(RunOutput.from_record(each), agent_name=self.name) for each in records]

    def list_runs(
        self,
        *,
        status: RunStatus | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunOutput]:
        """Return the agent's runs, the last accepted first; see :meth:`alist_runs`."""
        return portal().call(
            self.alist_runs(
                status=status, session_id=session_id, user_id=user_id, limit=limit, before=before
            )
        )


def _status(value: object) -> RunStatus:
    try:
        return RunStatus(str(value))
    except ValueError:
        known = ", ".join(RunStatus)
        raise InvalidInputError(f"status must be one of {known}, not {value!r:.50}.") from None
