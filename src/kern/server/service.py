"""What the routes of one application share."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from fastapi import Request

from kern.agent.agent import Agent
from kern.agent.serving import databases_of
from kern.errors import ConfigurationError
from kern.server.caller import Authenticator, Caller
from kern.server.limits import Limits, Queue, Rate
from kern.server.problems import RequestError
from kern.server.readiness import Readiness
from kern.server.streaming import Streams

AnyAgent: TypeAlias = Agent[Any, Any]


class Service:
    """Agents, how callers are known, and how much they may ask for.

    Attributes:
        agents: the agents, by their id.
        authenticator: says who sends a request.
        limits: how much a user may ask for.
        databases: those of the agents, each once.
        streams: the event streams that are open.
        readiness: whether it is ready.
    """

    def __init__(
        self, agents: Sequence[AnyAgent], authenticator: Authenticator, limits: Limits
    ) -> None:
        """Serve agents.

        Raises:
            ConfigurationError: two have one id, one has no name or database, or its runs are not
                to be begun over HTTP.
        """
        for each in agents:
            if each.reads_files:
                raise ConfigurationError(
                    f"{each!r} reads the files of this machine that its runs name, so nobody may "
                    "begin them over HTTP. Serve it with `kern worker`."
                )
        self.databases = list(databases_of(agents))
        self.agents = {each.id: each for each in agents}
        self.authenticator = authenticator
        self.limits = limits
        self.streams = Streams(limits.streams)
        self.readiness = Readiness(self.databases)
        self._rate = Rate(limits.rate)
        self._queue = Queue(limits.queued)

    async def caller(self, request: Request) -> Caller:
        """Return who sends a request, and count it.

        Raises:
            RequestError: nobody knows who that is (401), or there were too many (429).
        """
        caller = await self.known(request)
        await self._rate.count(caller.user_id)
        return caller

    async def known(self, request: Request) -> Caller:
        """Return who sends a request, without counting it.

        Raises:
            RequestError: nobody knows who that is (401).
        """
        return await self.authenticator.authenticate(request)

    async def check_queue(self, agent: AnyAgent, caller: Caller) -> None:
        """Count one more background run that a caller is about to submit.

        Raises:
            RequestError: too many runs of this user wait already (429).
        """
        if agent.db is not None:
            await self._queue.count(agent.db, caller.user_id)

    def agent(self, agent_id: str, caller: Caller) -> AnyAgent:
        """Return an agent that a caller may use.

        Raises:
            RequestError: there is none of this id, or the caller may not see it (404).
        """
        agent = self.agents.get(agent_id)
        if agent is None or not caller.sees(agent_id):
            raise RequestError(
                404, f"There is no agent {agent_id!r:.100}.", code="model_not_found", param="model"
            )
        return agent

    def visible(self, caller: Caller) -> list[AnyAgent]:
        """Return the agents that a caller may use."""
        return [each for each in self.agents.values() if caller.sees(each.id)]


def service_of(request: Request) -> Service:
    """Return what the application of a request serves."""
    service: Service = request.app.state.kern
    return service
