"""What a caller reaches: what is its user's, and of the agents that it may see."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from kern.db.base import Store
from kern.db.methods import Methods
from kern.db.sessions import SessionRow
from kern.run.approval import Approval
from kern.run.codec import check_id
from kern.run.ownership import may_see
from kern.run.record import RunRecord
from kern.server.caller import ApprovingCaller, Caller, RunsCaller, Scope, needs
from kern.server.problems import RequestError
from kern.server.runs.documented import check_query
from kern.server.service import AnyAgent, service_of

_Looking = Annotated[Caller, Depends(needs(Scope.runs, Scope.approve, Scope.read_all))]


class Place(NamedTuple):
    """A database, and the agents in it that are asked for.

    Attributes:
        db: the database.
        store: the same, open.
        agents: the ids of the agents.
    """

    db: Methods
    store: Store
    agents: tuple[str, ...]


class Reach:
    """What a caller reaches. What is not within it is not found.

    Attributes:
        caller: the caller.
        agents: the agents that it may see, by their ids.
        reads: the user whose things it sees; None for those of all.
        steers: the user whose things it may change; None for those of all.
    """

    def __init__(self, caller: Caller, agents: list[AnyAgent]) -> None:
        """Reach what is ``caller``'s among what is these agents'."""
        self.caller = caller
        self.agents = {each.id: each for each in agents}
        self.reads = caller.reads
        self.steers = None if caller.may(Scope.admin) else caller.user_id

    def agent(self, agent_id: str) -> AnyAgent:
        """Return an agent.

        Raises:
            RequestError: there is none of this id (404).
        """
        agent = self.agents.get(agent_id)
        if agent is None:
            raise RequestError(
                404, f"There is no agent {agent_id!r:.100}.", code="agent_not_found", param="agent"
            )
        return agent

    def user(self, asked: str | None) -> str | None:
        """Return whose things a list has; None for those of all.

        Args:
            asked: whose were asked for.

        Raises:
            RequestError: it may not see these (403).
        """
        if asked is None or asked == self.reads:
            return self.reads
        if self.reads is not None:
            raise RequestError(
                403,
                f"To see what is another user's needs the scope {Scope.read_all}.",
                code="insufficient_scope",
                param="user",
            )
        return check_id("user", asked)

    async def places(self) -> list[Place]:
        """Return the databases of the agents, each once."""
        found: dict[Store, Place] = {}
        for agent in self.agents.values():
            assert isinstance(agent.db, Methods), "the application was made with it"
            store = await agent.db.store()
            known = found.get(store, Place(agent.db, store, ()))
            found[store] = known._replace(agents=(*known.agents, agent.id))
        return [*found.values()]

    async def place(self, agent_id: str | None) -> Place | None:
        """Return where a list is: in the database of an agent, or of all; None where there is none.

        Raises:
            RequestError: there is no such agent (404), or the agents have several databases (400).
        """
        if agent_id is not None:
            agent = self.agent(agent_id)
            assert isinstance(agent.db, Methods), "the application was made with it"
            return Place(agent.db, await agent.db.store(), (agent_id,))
        places = await self.places()
        if len(places) > 1:
            raise RequestError(
                400,
                "The agents here have several databases. Say whose you mean, by agent=…",
                code="agent_required",
                param="agent",
            )
        return places[0] if places else None

    async def run(
        self, run_id: str, user_id: str | None, *, with_input: bool = False
    ) -> tuple[AnyAgent, RunRecord]:
        """Return a run and its agent; of a run that tool calls of others have begun, theirs.

        Args:
            run_id: the run.
            user_id: the user whose it must be; None for any.
            with_input: whether its input is read, too.

        Raises:
            RequestError: there is none (404).
        """
        check_id("run_id", run_id)
        for place in await self.places():
            record = await place.store.get_for(run_id, user_id, with_input=with_input)
            if record is None:
                continue
            if record.agent_id in place.agents:
                return self.agents[record.agent_id], record
            if record.parent_run_id is not None:  # Who sees a run sees what its calls are.
                agent, _ = await self.run(record.parent_run_id, user_id)
                return agent, record
        raise RequestError(
            404, f"There is no run {run_id!r:.100}.", code="run_not_found", param="run_id"
        )

    async def session(self, session_id: str, user_id: str | None) -> tuple[Place, SessionRow]:
        """Return a session and where it is; see :meth:`run`."""
        check_id("session_id", session_id)
        for place in await self.places():
            row = await place.store.sessions.get_for(session_id, user_id)
            if row is not None and row.agent_id in place.agents:
                return place, row
        raise RequestError(
            404,
            f"There is no session {session_id!r:.100}.",
            code="session_not_found",
            param="session_id",
        )

    async def approval(self, approval_id: str) -> tuple[Place, Approval]:
        """Return an approval that the caller sees, and where it is; see :meth:`run`."""
        check_id("approval_id", approval_id)
        for place in await self.places():
            found = await place.store.approvals.get(approval_id)
            if found and found.agent_id in place.agents and may_see(self.reads, found.user_id):
                return place, found
        raise RequestError(
            404,
            f"There is no approval {approval_id!r:.100}.",
            code="approval_not_found",
            param="approval_id",
        )


async def _looking(request: Request, caller: _Looking) -> Reach:
    return Reach(caller, service_of(request).visible(caller))


async def _steering(request: Request, caller: RunsCaller) -> Reach:
    return Reach(caller, service_of(request).visible(caller))


async def _approving(request: Request, caller: ApprovingCaller) -> Reach:
    return Reach(caller, service_of(request).visible(caller))


Looking = Annotated[Reach, Depends(_looking)]
"""What a caller reaches who looks, and changes nothing."""

Steering = Annotated[Reach, Depends(_steering)]
"""What a caller reaches who submits and steers runs."""

Approving = Annotated[Reach, Depends(_approving)]
"""What a caller reaches who answers what runs wait for."""

EVERYWHERE = [Depends(check_query)]
"""What holds for all routes."""
