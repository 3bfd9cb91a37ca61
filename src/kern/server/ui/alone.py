"""The page over a database alone, without the agents: for ``kern ui``."""

import time

from fastapi import FastAPI, Request
from typing_extensions import override

from kern.agent import Agent
from kern.db.methods import Methods
from kern.server import health
from kern.server.app import add_layers, application
from kern.server.caller import Caller, NoAuthentication
from kern.server.limits import Limits
from kern.server.readiness import Readiness
from kern.server.service import Service
from kern.server.ui.pages import add_pages

# How long it is before the database is asked again which agents there are, in seconds.
_FRESH = 1.0

# How many of them are shown.
_AGENTS = 1_000


class Alone(Service):
    """A service of whatever agents a database knows, to everybody on this machine.

    In the place of each agent stands one of the same id that has nothing else: it submits runs and
    has them go on, and what is served elsewhere executes them with its own definition.
    """

    def __init__(self, db: Methods) -> None:
        """Serve what is in a database."""
        super().__init__([], NoAuthentication(), Limits())
        self.databases = [db]
        self.readiness = Readiness(self.databases)
        self._db = db
        self._until = 0.0

    @override
    async def known(self, request: Request) -> Caller:
        caller = await super().known(request)
        if time.monotonic() > self._until:
            self._until = time.monotonic() + _FRESH
            for agent_id in await _agents_in(self._db):
                if agent_id not in self.agents:
                    self.agents[agent_id] = Agent(agent_id, id=agent_id, db=self._db)
        return caller


def create_app_alone(db: Methods) -> FastAPI:
    """Return the application that shows what is in a database, to this machine only.

    It executes nothing: what is begun or goes on there is executed by the workers of its agent.

    Args:
        db: the database.
    """
    service = Alone(db)
    app = application(service, worker=False, grace=0)
    app.include_router(health.router)
    add_pages(app)
    add_layers(app, service.limits, ())
    return app


async def _agents_in(db: Methods) -> set[str]:
    """Return the ids of the agents that have runs or schedules, or are executed somewhere."""
    store = await db.store()
    return {*await store.overview.agents(_AGENTS), *await store.schedules.agents()}
