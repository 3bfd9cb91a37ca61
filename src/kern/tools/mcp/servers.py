"""Where a server of MCP is, and how it is reached."""

import os
import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias
from urllib.parse import urlsplit

from kern.errors import ConfigurationError, ToolsetError

if TYPE_CHECKING:
    from mcp import StdioServerParameters
    from mcp.client import Transport

Streams: TypeAlias = tuple[Any, Any]
"""What comes from a server, and what goes to it, in the SDK's form."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""HTTP headers that can be compared, in the order of their names."""


@dataclass(frozen=True)
class StreamableHTTPClientParams:
    """A server that is reached over streamable HTTP.

    Attributes:
        url: where it is.
        headers: what is sent with every request.
        timeout: seconds for a connection and for a request.
        sse_read_timeout: seconds that may pass between two messages of an answer.
        terminate_on_close: whether the server is told that a session has ended.

    Example:
        >>> from kern.tools.mcp import MCPTools
        >>> headers = {"X-Team": "research"}
        >>> there = StreamableHTTPClientParams("https://example.com/mcp", headers=headers)
        >>> tools = MCPTools(server_params=there, transport="streamable-http")
    """

    url: str
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float | timedelta = 30.0
    sse_read_timeout: float | timedelta = 300.0
    terminate_on_close: bool = True


@dataclass(frozen=True)
class SSEClientParams:
    """A server that is reached over the older transport, server-sent events.

    Attributes:
        url: where it is.
        headers: what is sent with every request.
        timeout: seconds for a connection and for a request.
        sse_read_timeout: seconds that may pass between two messages.

    Example:
        >>> from kern.tools.mcp import MCPTools
        >>> there = SSEClientParams("https://example.com/sse", sse_read_timeout=60)
        >>> tools = MCPTools(server_params=there, transport="sse")
    """

    url: str
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float | timedelta = 5.0
    sse_read_timeout: float | timedelta = 300.0


@dataclass(frozen=True)
class Command:
    """A server that a command starts; the SDK's class of it takes a second to import."""

    command: str
    args: Sequence[str]
    env: dict[str, str] | None = field(default=None, repr=False)
    cwd: str | None = None


Params: TypeAlias = "Command | StdioServerParameters | StreamableHTTPClientParams | SSEClientParams"
"""Where a server is, as users give it in one object."""


@dataclass(frozen=True)
class Server:
    """Where a server is.

    Attributes:
        params: what is needed to reach it; None where its user has opened the session.
        name: what people and the log call it, with nothing secret.
    """

    params: "Params | None" = field(repr=False)
    name: str

    def headers(self, more: Mapping[str, str]) -> Headers:
        """Return the headers of a session: the server's own, and those of a run."""
        match self.params:
            case StreamableHTTPClientParams(headers=own) | SSEClientParams(headers=own):
                return tuple(sorted({**(own or {}), **more}.items()))
        return ()

    def transport(self, headers: Headers, on_status: Callable[[int], None]) -> "Transport":
        """Return what opens a connection, and closes it.

        Args:
            headers: see :meth:`headers`.
            on_status: is told the HTTP status of each answer, where there is one.
        """
        match self.params:
            case StreamableHTTPClientParams() as params:
                return _over_http(params, headers, on_status)
            case SSEClientParams() as params:
                from mcp.client.sse import sse_client

                timeout, read = _seconds(params.timeout), _seconds(params.sse_read_timeout)
                return sse_client(params.url, dict(headers), timeout, read)
            case None:
                raise ToolsetError("Its user has opened the session, and has to open another.")
            case params:
                return _through_pipes(params)


@asynccontextmanager
async def _over_http(
    params: StreamableHTTPClientParams, headers: Headers, on_status: Callable[[int], None]
) -> AsyncGenerator[Streams, None]:
    from httpx2 import AsyncClient, Response, Timeout
    from mcp.client.streamable_http import streamable_http_client

    async def answered(response: Response) -> None:
        on_status(response.status_code)

    timeout = Timeout(_seconds(params.timeout), read=_seconds(params.sse_read_timeout))
    hooks = {"response": [answered]}
    async with (
        AsyncClient(headers=dict(headers), timeout=timeout, event_hooks=hooks) as client,
        streamable_http_client(
            params.url, http_client=client, terminate_on_close=params.terminate_on_close
        ) as streams,
    ):
        yield streams


@asynccontextmanager
async def _through_pipes(
    params: "StdioServerParameters | Command",
) -> AsyncGenerator[Streams, None]:
    from mcp import StdioServerParameters, stdio_client

    if isinstance(params, Command):
        params = StdioServerParameters(
            command=params.command, args=[*params.args], env=params.env, cwd=params.cwd
        )
    with _errors() as errors:
        async with stdio_client(params, errors) as streams:
            yield streams


@contextmanager
def _errors() -> Iterator[TextIO]:
    """Yield where a server's standard error goes: that of this process, where it has one."""
    if (own := next(filter(_is_file, (sys.stderr, sys.__stderr__)), None)) is not None:
        yield own
        return
    with open(os.devnull, "w") as nowhere:
        yield nowhere


def _is_file(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):  # It is one of a notebook, say.
        return False


def server_of(params: "Params") -> Server:
    """Return the server that an object of users names.

    Raises:
        ConfigurationError: it names none.
    """
    url = getattr(params, "url", None)
    if url is None:
        command = getattr(params, "command", None)
        if not isinstance(command, str) or not command:
            raise ConfigurationError(
                f"server_params must be StdioServerParameters, StreamableHTTPClientParams or "
                f"SSEClientParams, not {type(params).__name__}."
            )
        return Server(params, command)
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("The url of an MCP server must begin with http:// or https://.")
    port = f":{parts.port}" if parts.port else ""
    return Server(params, f"{parts.scheme}://{parts.hostname}{port}{parts.path}")


def server_at(url: str, transport: str | None, headers: Mapping[str, str] | None = None) -> Server:
    """Return the server at an address.

    Args:
        url: where it is.
        transport: how it is reached; by default over streamable HTTP.
        headers: what is sent with every request.

    Raises:
        ConfigurationError: it cannot be reached so.
    """
    match transport:
        case None | "streamable-http":
            return server_of(StreamableHTTPClientParams(url, headers))
        case "sse":
            return server_of(SSEClientParams(url, headers))
    raise ConfigurationError(
        f"A url is reached over 'streamable-http' or 'sse', not over {transport!r}."
    )


def server_run_by(command: str, env: Mapping[str, str] | None) -> Server:
    """Return the server that a command starts.

    Args:
        command: as in a shell, which is not used.
        env: variables of its environment, beside the few that it needs.

    Raises:
        ConfigurationError: it is empty, or cannot be read.
    """
    try:
        program, *arguments = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(
            f"The command of an MCP server cannot be read: {error}. Give the program and its "
            "arguments as in a shell, as in command='uvx mcp-server-fetch'."
        ) from None
    return server_of(Command(program, tuple(arguments), dict(env) if env else None))


def _seconds(time: float | timedelta) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time
