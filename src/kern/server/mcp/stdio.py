"""Agents as tools of the program that has started this process, over its pipes."""

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

from kern.run.codec import parse
from kern.server.caller import Caller, NoAuthentication, Scope
from kern.server.lifespan import lifespan
from kern.server.limits import Limits
from kern.server.mcp.agents import AgentServer
from kern.server.mcp.settings import Settings
from kern.server.service import AnyAgent, Service

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

logger = logging.getLogger("kern.server")

# How long after a signal what open calls return may take to be written and read, in seconds.
_LAST_WORD = 1.0


async def serve_stdio(
    agents: list[AnyAgent],
    *,
    user_id: str | None = None,
    worker: bool = True,
    grace: float = 10.0,
) -> None:
    """Serve agents until the client closes the pipe, or SIGTERM or SIGINT.

    While it serves, what agents print goes to the standard error.

    Args:
        agents: the agents.
        user_id: the user whose runs these are, and who sees no others; None for nobody's.
        worker: whether it executes background runs.
        grace: seconds that foreground runs are given at the end.

    Raises:
        ConfigurationError: the agents cannot be served, or a setting cannot be used.
    """
    service = Service(agents, NoAuthentication(), Limits(rate=None, streams=None))
    everything = frozenset(Scope)
    scopes = everything if user_id is None else frozenset({Scope.runs, Scope.approve})
    caller = Caller(user_id, scopes)

    def caller_of(context: ServerRequestContext[Any, Any]) -> Caller:
        return caller

    served = AgentServer(service, Settings.from_environment(), caller_of, is_one_client=True)
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[int] = loop.create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(len(service.streams))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with lifespan(service, worker=worker, grace=grace):
        serving = asyncio.create_task(_serve(served, stopping), name="kern mcp")
        either: set[asyncio.Future[Any]] = {serving, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done() and stopping.result():
        # That calls have returned says nothing of the pipe, which their receipts go through yet.
        await asyncio.wait({serving}, timeout=_LAST_WORD)
    if serving.done():
        serving.result()
    # Else it waits in a thread for a line that may never come: the process ends without it.


async def _serve(served: AgentServer, stopping: "asyncio.Future[int]") -> None:
    """Serve until a pipe is closed, and say so: the other one may stay open, and hold this up."""
    server = served.server
    try:
        async with stdio_server() as (reading, writing), anyio.create_task_group() as tasks:
            sender, readable = anyio.create_memory_object_stream[SessionMessage | Exception]()
            tasks.start_soon(_pass_on, reading, sender, writing)
            try:
                await server.run(readable, writing, server.create_initialization_options())
            finally:
                if not stopping.done():
                    stopping.set_result(0)
                tasks.cancel_scope.cancel()
    except* BrokenPipeError:
        logger.info("the client does not read any more")


async def _pass_on(
    reading: "ReadStream[SessionMessage | Exception]",
    sender: "WriteStream[SessionMessage | Exception]",
    writing: "WriteStream[SessionMessage]",
) -> None:
    """Pass messages on; a request that cannot be read is refused, so that its client knows."""
    async with reading, sender:
        async for each in reading:
            if not isinstance(each, Exception):
                await sender.send(each)
            elif (number := _id_in(each)) is not None:
                error = ErrorData(code=PARSE_ERROR, message="The message cannot be read.")
                refusal = JSONRPCError(jsonrpc="2.0", id=number, error=error)
                await writing.send(SessionMessage(refusal))


def _id_in(error: Exception) -> str | int | None:
    """Return the id of the request in a line that is no message, where it can be found."""
    if not isinstance(error, ValidationError):
        return None
    line: object = error.errors(include_url=False, include_context=False)[0]["input"]
    try:
        message = parse(line) if isinstance(line, str) else None
    except (ValueError, RecursionError):
        return None
    number = message.get("id") if isinstance(message, dict) and "method" in message else None
    is_one = isinstance(number, str | int) and not isinstance(number, bool)
    return number if is_one and str(number).isprintable() else None
