"""An application with routes that tell a test who asks, and that fail as it wants."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from uvicorn_here import uvicorn_here

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.server import create_app
from kern.server.caller import ApprovingCaller, Caller, RunsCaller
from kern.testing import ScriptedModel


def agent_of(db: Any = None, **options: Any) -> Agent:
    """Return an agent that answers without a provider."""
    return Agent("Assistant", ScriptedModel(), db=db or InMemoryDb(), **options)


def probed(
    agent: Agent | None = None, *, error: Exception | None = None, **options: Any
) -> FastAPI:
    """Return a service with routes of the test's own beside.

    Args:
        agent: what it serves; by default one that nobody runs.
        error: what is raised where ``…/fails`` is asked for.
        options: what ``create_app`` takes.
    """
    app = create_app([agent or agent_of()], worker=False, **options)

    @app.get("/v1/probe/who")
    async def who(caller: RunsCaller) -> dict[str, object]:
        return told(caller)

    @app.get("/v1/probe/approve")
    async def approve(caller: ApprovingCaller) -> dict[str, object]:
        return told(caller)

    @app.get("/v1/chat/probe/fails")
    @app.get("/v1/probe/fails")
    async def fails() -> None:
        assert error is not None
        raise error

    @app.get("/v1/probe/breaks")
    async def breaks() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun"
            assert error is not None
            raise error

        return StreamingResponse(pieces())

    @app.get("/v1/chat/probe/number/{number}")
    @app.get("/v1/probe/number/{number}")
    async def number(number: int) -> int:
        return number

    @app.post("/v1/probe/body")
    async def body(given: dict[str, int]) -> dict[str, int]:
        return given

    @app.post("/v1/probe/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    return app


def told(caller: Caller) -> dict[str, object]:
    """Return a caller as JSON."""
    agents = None if caller.agents is None else sorted(caller.agents)
    return {"user": caller.user_id, "scopes": sorted(caller.scopes), "agents": agents}


@asynccontextmanager
async def asking(
    app: FastAPI, headers: Mapping[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application, and yield a client of it."""
    async with (
        uvicorn_here(app) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
        ) as client,
    ):
        yield client


def shows(secret: str) -> dict[str, str]:
    """Return the header with which a client shows its key or token."""
    return {"Authorization": f"Bearer {secret}"}
