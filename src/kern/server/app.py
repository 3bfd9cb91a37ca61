"""The application: routes, authentication, limits and lifespan put together."""

from collections.abc import Sequence

from fastapi import FastAPI

from kern.errors import ConfigurationError
from kern.server import conversations, health, models
from kern.server.auth import Auth, authenticator_of
from kern.server.chat import routes as chat
from kern.server.headers import add_headers
from kern.server.lifespan import lifespan
from kern.server.limits import Limits, add_limits
from kern.server.mcp.endpoint import add_mcp, is_installed
from kern.server.metrics import Counting
from kern.server.openapi import add_document
from kern.server.problems import add_problems
from kern.server.responses import routes as responses
from kern.server.runs import routes as runs
from kern.server.service import AnyAgent, Service


def create_app(
    agents: Sequence[AnyAgent],
    *,
    auth: Auth = "none",
    worker: bool = True,
    grace: float = 10.0,
    limits: Limits | None = None,
    cors_origins: Sequence[str] = (),
    ui: bool = True,
    mcp: bool | None = None,
) -> FastAPI:
    """Return the application that serves agents over HTTP.

    It stands alone (``uvicorn app:app``), or is mounted in an application of one's own, which
    then enters its lifespan.

    Args:
        agents: the agents, each with an id of its own, and a database.
        auth: how callers are known: ``"keys"``, by the API keys in the agents' database (``kern
            keys create``); ``"jwt"``, by JSON Web Tokens, as the environment says
            (``KERN_JWT_SECRET`` or ``KERN_JWT_JWKS_URL``, see ``docs/guides/security.md``);
            ``"none"``, not at all, and then only processes on this machine are served; or an
            :class:`~kern.server.caller.Authenticator` of your own.
        worker: whether it executes background runs, too; else only workers do.
        grace: seconds that foreground runs are given at the end; background runs are released at
            once, and go on elsewhere or at the next start.
        limits: how much a request may send, and a user ask for; by default ``Limits()``.
        cors_origins: the origins whose pages may call it from a browser, such as
            ``"https://chat.example.com"``; by default none.
        ui: whether it shows itself in a browser, at ``/ui``, to the same callers.
        mcp: whether the agents are tools of a server of MCP, at ``/mcp``, for the same callers; by
            default where the extra ``mcp`` is installed.

    Raises:
        ConfigurationError: two agents have one id, an agent has no name or database, or a setting
            cannot be used.
    """
    if not agents:
        raise ConfigurationError("There is no agent to serve.")
    limits = limits or Limits()
    service = Service(agents, authenticator_of(auth, agents, cors_origins), limits)
    app = application(service, worker=worker, grace=grace)
    for each in (responses, conversations, models, chat, runs, health):
        app.include_router(each.router)
    if ui:  # Its templates take a while to import.
        from kern.server.ui.pages import add_pages

        add_pages(app)
    if mcp or (mcp is None and is_installed()):
        add_mcp(app)
    add_document(app)
    add_layers(app, limits, cors_origins)
    return app


def create_mcp_app(
    agents: Sequence[AnyAgent],
    *,
    auth: Auth = "none",
    worker: bool = True,
    grace: float = 10.0,
    limits: Limits | None = None,
    cors_origins: Sequence[str] = (),
) -> FastAPI:
    """Return an application that serves agents as tools of MCP, at ``/mcp``, and nothing else.

    Args:
        agents: the agents, each with an id of its own, and a database.
        auth: how callers are known; see :func:`create_app`, and so for what follows.
        worker: see :func:`create_app`.
        grace: see :func:`create_app`.
        limits: see :func:`create_app`.
        cors_origins: see :func:`create_app`.

    Raises:
        ConfigurationError: two agents have one id, an agent has no name or database, or a setting
            cannot be used.
    """
    if not agents:
        raise ConfigurationError("There is no agent to serve.")
    limits = limits or Limits()
    service = Service(agents, authenticator_of(auth, agents, cors_origins), limits)
    app = application(service, worker=worker, grace=grace)
    app.include_router(health.router)
    add_mcp(app)
    add_document(app)
    add_layers(app, limits, cors_origins)
    return app


def application(service: Service, *, worker: bool, grace: float) -> FastAPI:
    """Return an application without routes, which begins and ends with what it serves.

    Args:
        service: what it serves.
        worker: whether it executes background runs.
        grace: seconds that foreground runs are given at the end.
    """
    app = FastAPI(
        title="kern",
        openapi_url="/openapi.json",
        docs_url=None,  # Its page loads its scripts from elsewhere.
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: lifespan(service, worker=worker, grace=grace),
    )
    app.state.kern = service
    return app


def add_layers(app: FastAPI, limits: Limits, cors_origins: Sequence[str]) -> None:
    """Have an application limit, refuse and count requests, and say so as it does everywhere.

    Args:
        app: the application, with all its routes.
        limits: how much a request may send.
        cors_origins: the origins whose pages may call it.
    """
    # What is added later is further out.
    add_limits(app, limits)
    add_problems(app)
    add_headers(app, cors_origins)
    app.add_middleware(Counting)
