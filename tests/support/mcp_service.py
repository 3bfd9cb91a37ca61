"""A server of MCP, made with the official SDK, that a test starts: ``mcp_service.py [legacy]``."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import uvicorn
from mcp import MCPDeprecationWarning, UrlElicitationRequiredError
from mcp.server import MCPServer
from mcp.server.mcpserver import (
    AcceptedElicitation,
    Context,
    Elicit,
    ElicitationResult,
    Image,
    RequestStateSecurity,
    Resolve,
)
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import (
    METHOD_NOT_FOUND,
    ElicitRequestURLParams,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    ToolAnnotations,
)
from ports import free_port
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send


def noted(path: Path) -> list[str]:
    """Return the lines of a file of notes; none where there is none."""
    return path.read_text().splitlines() if path.exists() else []


URL = "https://example.com/login"

# The smallest picture that there is.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


class Seat(BaseModel):
    row: int
    window: bool = False


class Name(BaseModel):
    name: str


class Size(BaseModel):
    size: Literal["small", "large"] = "small"
    count: int = 1


async def _ask_seat(flight: str) -> Elicit[Seat]:
    return Elicit(f"Which seat on {flight}?", Seat)


async def _ask_name(seat: Annotated[Seat, Resolve(_ask_seat)]) -> Elicit[Name]:
    return Elicit(f"Who sits in row {seat.row}?", Name)


async def _ask_size() -> Elicit[Size]:
    return Elicit("Which size?", Size)


def note(text: str) -> None:
    """Write a line to the file ``MCP_NOTES`` names: what has had an effect."""
    if path := os.environ.get("MCP_NOTES"):
        with Path(path).open("a") as file:
            file.write(f"{text}\n")


def make_server(**options: Any) -> MCPServer[Any]:
    """Return the server."""
    visited = Path(f"{os.environ.get('MCP_NOTES')}.visited")
    server: MCPServer[Any] = MCPServer("service", log_level="CRITICAL", **options)

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, title="Adds"))
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("It is broken.")

    @server.tool(structured_output=False)
    def picture() -> list[Any]:
        """Draw."""
        return ["Here it is:", Image(data=PNG, format="png")]

    @server.tool()
    async def work(ctx: Context) -> str:
        """Work for a while."""
        await ctx.report_progress(1, 2, "half")
        await ctx.info("Nearly there.")  # type: ignore[deprecated,unused-ignore]
        await ctx.report_progress(2, 2, "done")
        return "worked"

    @server.tool()
    def who(ctx: Context) -> str:
        """Say who asks."""
        return (ctx.headers or {}).get("x-user", "nobody")

    @server.tool()
    async def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    @server.tool()
    async def book(
        flight: str,
        seat: Annotated[Seat, Resolve(_ask_seat)],
        name: Annotated[ElicitationResult[Name], Resolve(_ask_name)],
    ) -> str:
        """Book a seat."""
        note(f"book {flight}")
        who = name.data.name if isinstance(name, AcceptedElicitation) else "nobody"
        return f"{flight}: row {seat.row}, window {seat.window}, {who}"

    @server.tool()
    def login() -> str:
        """Need an address to be visited first."""
        if not visited.exists():
            visit = ElicitRequestURLParams(message="Log in:", url=URL, elicitation_id="1")
            raise UrlElicitationRequiredError([visit])
        return "logged in"

    @server.tool()
    async def order(size: Annotated[Size, Resolve(_ask_size)]) -> str:
        """Order something of a size."""
        return f"{size.size} x {size.count}"

    @server.tool()
    async def guess(ctx: Context) -> str:
        """Ask until the answer is right, in the protocol until 2025."""
        for tries in range(1, 100):
            answer = await ctx.elicit("Which row?", Seat)
            if isinstance(answer, AcceptedElicitation) and answer.data.row == 42:
                return f"right, the {tries}. time"
        return "never"

    @server.tool()
    async def slow(seconds: float) -> str:
        """Take a time, the first time."""
        if any(each.startswith("slow") for each in noted(Path(os.environ["MCP_NOTES"]))):
            note("slow once more")
            return "slept"
        note("slow began")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            note("slow cancelled")
            raise
        return "slept"

    return server


def _refusal(request: JSONRPCRequest) -> SessionMessage:
    error = ErrorData(code=METHOD_NOT_FOUND, message="Method not found")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request.id, error=error))


async def run_through_pipes(server: MCPServer[Any], *, legacy: bool) -> None:
    """Serve through the pipes of the process.

    Args:
        server: the server.
        legacy: whether it knows only the protocol until 2025.
    """
    low = server._lowlevel_server
    async with stdio_server() as (reading, writing), anyio.create_task_group() as tasks:
        sender, known = anyio.create_memory_object_stream[Any](0)

        async def filtered() -> None:
            async with sender:
                async for item in reading:
                    message = getattr(item, "message", None)
                    if (
                        legacy
                        and isinstance(message, JSONRPCRequest)
                        and message.method == "server/discover"
                    ):
                        await writing.send(_refusal(message))
                    else:
                        await sender.send(item)

        tasks.start_soon(filtered)
        await low.run(known, writing, low.create_initialization_options())


class Legacy:
    """An application that knows only the protocol until 2025."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if headers.get(b"mcp-method") == b"server/discover":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


@asynccontextmanager
async def serving_mcp(
    server: MCPServer[Any] | None = None,
    *,
    port: int | None = None,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> AsyncIterator[str]:
    """Serve over HTTP on this loop; yields where.

    Args:
        server: the server.
        port: where it listens.
        around: what is put around its application.
    """
    port = port or free_port()
    app = around((server or make_server()).streamable_http_app())
    config = uvicorn.Config(
        app, port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=1
    )
    http = uvicorn.Server(config)
    serving = asyncio.create_task(http.serve())
    while not http.started:  # noqa: ASYNC110 # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        http.should_exit = True
        await serving


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", MCPDeprecationWarning)
    security = RequestStateSecurity(keys=["a key that every process of the service has......"])
    anyio.run(
        lambda: run_through_pipes(
            make_server(request_state_security=security), legacy="legacy" in sys.argv
        )
    )
