"""The application: routes, authentication, limits and lifespan put together."""

from collections.abc import Sequence

from fastapi import FastAPI

from kern.server.caller import Authenticator, NoAuthentication
from kern.server.service import AnyAgent, Service


def create_app(
    agents: Sequence[AnyAgent],
    *,
    authenticator: Authenticator | None = None,
    worker: bool = True,
    grace: float = 10.0,
) -> FastAPI:
    """Return the application that serves agents over HTTP.

    Args:
        agents: the agents, each with an id of its own, and a database.
        authenticator: says who sends a request; by default everybody may do everything.
        worker: whether it executes background runs, too; else only workers do.
        grace: seconds that runs in flight are given at the end.
    """
    app = FastAPI(title="kern", openapi_url="/openapi.json")
    app.state.kern = Service(agents, authenticator or NoAuthentication())
    return app
