"""The route ``/mcp``: streamable HTTP, with the callers and limits of the service."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kern.errors import MissingExtraError
from kern.server.caller import Caller, caller_of
from kern.server.caller import Scope as CallerScope
from kern.server.mcp.settings import Settings
from kern.server.problems import RequestError
from kern.server.service import Service

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

PATH = "/mcp"


class Endpoint:
    """An ASGI application that is asked at one path, and opened at its first request.

    No session is kept: each request says all that is needed, so that any process of a service
    answers it.
    """

    def __init__(self, service: Service, settings: Settings) -> None:
        """Serve nothing yet.

        Args:
            service: what is served.
            settings: how long calls wait, and whether answers are taken.
        """
        self._service = service
        self._settings = settings
        self._ending = asyncio.Event()
        self._opening: asyncio.Task[ASGIApp] | None = None
        self._owner: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            RequestError: it is nobody's (401), or its caller may not run agents (403) or sends too
                many (429).
            ClientDisconnect: its client left before its end, or it is too large.
        """
        request = Request(scope, receive)
        caller = await caller_of(request)
        if not caller.may(CallerScope.runs):
            raise RequestError(
                403, f"This needs the scope {CallerScope.runs}.", code="insufficient_scope"
            )
        body = await request.body()  # The SDK logs one that does not come whole as an error.
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="kern mcp opening")
        app = await asyncio.shield(self._opening)
        await app(scope, _with_body(body, receive), send)

    @asynccontextmanager
    async def within(self) -> AsyncGenerator[None, None]:
        """Serve within this block, as often as it is entered."""
        try:
            yield
        finally:
            self._ending.set()
            if self._owner is not None:
                await asyncio.wait({self._owner})
            self._ending, self._opening, self._owner = asyncio.Event(), None, None

    async def _open(self) -> ASGIApp:
        """Have the SDK serve; a task of its own enters and leaves what it needs for that."""
        opened: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(opened), name="kern mcp")
        self._owner.add_done_callback(lambda owner: _failed(owner, opened))
        return await opened

    async def _own(self, opened: "asyncio.Future[ASGIApp]") -> None:
        # It takes a second to import, in which this loop is to do other things.
        manager = await asyncio.to_thread(self._manager)
        async with manager.run():
            opened.set_result(manager.asgi_app)
            await self._ending.wait()

    def _manager(self) -> Any:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from kern.server.mcp.agents import AgentServer

        agents = AgentServer(self._service, self._settings, _caller)
        return StreamableHTTPSessionManager(
            app=agents.server, stateless=True, max_request_body_size=self._service.limits.body
        )


def _with_body(body: bytes, receive: Receive) -> Receive:
    """Return what says the body of a request again that was read, and then what comes."""
    is_told = False

    async def receiving() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def is_installed() -> bool:
    """Say whether the SDK is there; it is not imported."""
    return find_spec("mcp") is not None


def add_mcp(app: FastAPI) -> None:
    """Have an application serve its agents as tools.

    Args:
        app: the application, without its layers.

    Raises:
        ConfigurationError: a variable of the environment cannot be used.
        MissingExtraError: the SDK is not installed.
    """
    if not is_installed():
        raise MissingExtraError.of("mcp", "mcp")
    endpoint = Endpoint(app.state.kern, Settings.from_environment())
    app.router.routes.append(Route(PATH, endpoint, methods=["POST"], include_in_schema=False))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Any, None]:
        async with inner(app) as state, endpoint.within():
            yield state

    app.router.lifespan_context = lifespan


def _failed(owner: "asyncio.Task[None]", opened: "asyncio.Future[ASGIApp]") -> None:
    """Have those who wait for the opening know of what it has failed."""
    if not opened.done() and not owner.cancelled() and (error := owner.exception()) is not None:
        opened.set_exception(error)


def _caller(context: "ServerRequestContext[Any, Any]") -> Caller:
    assert context.request is not None, "it came over HTTP"
    caller: Caller = context.request.state.caller
    return caller
