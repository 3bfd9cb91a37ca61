"""Servers as toolsets of an agent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from typing_extensions import Unpack, override

from kern.aio.shared import Shared
from kern.binder import Binder, is_portable, name_of
from kern.errors import ConfigurationError, MissingExtraError, ToolsetError
from kern.run.base import RUN_VALUES, RunInfo
from kern.tools.base import Tool
from kern.tools.mcp.choice import MCPOptions, choice_of
from kern.tools.mcp.connection import Connection
from kern.tools.mcp.pool import Pool
from kern.tools.mcp.servers import (
    Headers,
    Params,
    Server,
    server_at,
    server_of,
    server_run_by,
)
from kern.tools.mcp.tool import Connect
from kern.tools.toolset import Toolset

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import Tool as ServerTool

logger = logging.getLogger("kern.mcp")

# Of a listing that no run has asked for.
_NO_RUN = RunInfo("", "", "", None, 1, None)


class ServerTools(Toolset):
    """The tools of servers. A session is opened at its first use, once an event loop.

    It closes with the event loop, with ``close()``, or once nobody has the toolset any more. An
    agent needs no ``async with``; that opens the sessions at once, and closes them.

    Attributes:
        functions: the tools that were listed last, by their names.
    """

    functions: Mapping[str, Tool]

    def __init__(
        self,
        servers: Sequence[Server],
        options: MCPOptions,
        *,
        allow_partial_failure: bool = False,
        session: "ClientSession | None" = None,
    ) -> None:
        """Check the options; see the subclasses.

        Args:
            servers: where they are.
            options: see :class:`MCPOptions`.
            allow_partial_failure: whether a run goes without the tools of a server that is not
                there.
            session: a session that its user has opened.

        Raises:
            ConfigurationError: there is no server, or an option cannot be used.
            MissingExtraError: the SDK is not installed.
            TypeError: there is no such keyword; the text names the nearest one.
        """
        if not servers:
            raise ConfigurationError(
                "MCP tools need a server: command='uvx mcp-server-fetch', url='https://...' or "
                "server_params=..."
            )
        _check_installed()
        self.functions = {}
        self._choice = choice_of(type(self).__name__, options)
        self._session = session
        self._is_partial = allow_partial_failure
        provider = options.get("header_provider")
        self._provider = None
        if provider is not None:
            what = f"The header_provider {name_of(provider)}"
            self._provider = Binder(provider, RUN_VALUES, what=what)
            self.asks_for: frozenset[str] = self._provider.names
        self._pools: list[tuple[Server, Shared[Pool]]] = []
        level, protocol = options.get("log_level", "info"), options.get("protocol", "auto")
        if protocol not in ("auto", "legacy"):
            raise ConfigurationError(f"protocol must be 'auto' or 'legacy', not {protocol!r:.50}.")
        for server in servers:
            pool = Shared(partial(Pool.opened, server, level, session, protocol))
            pool.join(self)
            self._pools.append((server, pool))

    def __repr__(self) -> str:
        names = ", ".join(repr(server.name) for server, _ in self._pools)
        return f"{type(self).__name__}({names})"

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the servers, and their headers, are the same in every process."""
        provider = self._provider
        return self._session is None and (provider is None or is_portable(provider.function))

    @override
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        return await self.tools_for(run, {})

    @override
    async def tools_for(self, run: RunInfo, values: Mapping[str, object]) -> Sequence[Tool]:
        more = await self._headers_of(values)
        pools = [(pool, server.headers(more)) for server, pool in self._pools]
        found = await asyncio.gather(*(self._listed(*each) for each in pools))
        whose = f"The MCP server {self._pools[0][0].name}" if len(pools) == 1 else repr(self)
        self.functions = self._choice.tools([each for listed in found for each in listed], whose)
        return [*self.functions.values()]

    async def connect(self) -> None:
        """Open the sessions, and list the tools.

        With a ``header_provider`` nothing is opened: there is no run yet.

        Raises:
            ToolsetError: a server cannot be used.
            ConfigurationError: there is no tool of a name that was given, or two have one name.
        """
        if self._provider is None:
            await self.tools(_NO_RUN)

    async def close(self) -> None:
        """Close the sessions of the running event loop; the next use opens others."""
        for _, pool in self._pools:
            await pool.aclose()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _headers_of(self, values: Mapping[str, object]) -> Mapping[str, str]:
        """Return what a run's requests are sent with beside what all are.

        Raises:
            ToolsetError: the provider raised, or returned something else.
        """
        if self._provider is None:
            return {}
        headers: object = await self._provider.call(values)
        if not isinstance(headers, Mapping) or not all(
            isinstance(text, str) for item in headers.items() for text in item
        ):
            # Without its values, which may be secret.
            name, kind = name_of(self._provider.function), type(headers).__name__
            raise ToolsetError(f"The header_provider {name} must return texts by name, not {kind}.")
        return headers

    async def _listed(
        self, pool: Shared[Pool], headers: Headers
    ) -> "list[tuple[ServerTool, Connect]]":
        connect = partial(self._connected, pool, headers)
        try:
            tools = await _tools_of(connect)
        except ToolsetError as error:
            if not self._is_partial:
                raise
            logger.warning("its tools are left out: %s", error)
            return []
        return [(each, connect) for each in tools]

    # A tool holds the toolset by this, so its session stays open while a run has the tool.
    @asynccontextmanager
    async def _connected(self, pool: Shared[Pool], headers: Headers) -> AsyncIterator[Connection]:
        sessions = await pool.get()
        async with sessions.using(headers, keeps=self._provider is None) as connection:
            yield connection


class MCPTools(ServerTools):
    """The tools of a server of the Model Context Protocol (extra ``mcp``).

    A session is opened at its first use, once an event loop, and closes with that; a server that
    has died is started again. A tool has the name and the arguments that the server says; what it
    asks of its user in the middle of a call pauses the run.

    Attributes:
        functions: the tools that were listed last, by their names.

    Example:
        >>> MCPTools("uvx mcp-server-fetch", include_tools=["fetch"])
        MCPTools('uvx')
        >>> MCPTools(url="https://example.com/mcp", headers={"Authorization": "Bearer ..."})
        MCPTools('https://example.com/mcp')
    """

    def __init__(
        self,
        command: str | None = None,
        *,
        url: str | None = None,
        env: Mapping[str, str] | None = None,
        transport: str | None = None,
        server_params: "Params | None" = None,
        session: "ClientSession | None" = None,
        **options: Unpack[MCPOptions],
    ) -> None:
        """Say where the server is; it is not started before a run needs it.

        Args:
            command: starts it, as in a shell, which is not used.
            url: where it is, in place of that.
            env: variables of the command's environment, beside ``PATH``, ``HOME`` and the like,
                which are all that it is given.
            transport: how it is reached: ``"stdio"`` for a command, ``"streamable-http"`` (the
                default) or ``"sse"`` for a url.
            server_params: the same in one object: the SDK's ``StdioServerParameters``,
                :class:`StreamableHTTPClientParams` or :class:`SSEClientParams`.
            session: an open session of the SDK, in place of a server; it is closed by its user.
            **options: see :class:`MCPOptions`.

        Raises:
            ConfigurationError: what was given cannot be used.
            MissingExtraError: the SDK is not installed.
            TypeError: there is no such keyword; the text names the nearest one.
        """
        given = [each for each in (command, url, server_params, session) if each is not None]
        if len(given) != 1:
            raise ConfigurationError(
                "MCPTools takes exactly one of command, url, server_params and session; "
                f"{len(given)} were given. MultiMCPTools takes several servers."
            )
        if command is not None and transport not in (None, "stdio"):
            raise ConfigurationError(f"A command is reached over 'stdio', not over {transport!r}.")
        if command is not None:
            server = server_run_by(command, env)
        elif url is not None:
            server = server_at(url, transport, options.get("headers"))
        elif server_params is not None:
            server = server_of(server_params)
        else:
            server = Server(None, "of a session")
        super().__init__([server], options, session=session)


class MultiMCPTools(ServerTools):
    """The tools of several servers of the Model Context Protocol (extra ``mcp``).

    It is as :class:`MCPTools`, for each of them.

    Attributes:
        functions: the tools that were listed last, by their names.

    Example:
        >>> MultiMCPTools(["uvx mcp-server-fetch"], ["https://example.com/mcp"])
        MultiMCPTools('uvx', 'https://example.com/mcp')
    """

    def __init__(
        self,
        commands: Sequence[str] | None = None,
        urls: Sequence[str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        urls_transports: Sequence[str] | None = None,
        server_params_list: "Sequence[Params] | None" = None,
        allow_partial_failure: bool = False,
        **options: Unpack[MCPOptions],
    ) -> None:
        """Say where the servers are; none is started before a run needs it.

        Args:
            commands: commands that start servers, as in a shell, which is not used.
            urls: where other servers are.
            env: variables of the commands' environment, as with :class:`MCPTools`.
            urls_transports: how each of ``urls`` is reached; by default over streamable HTTP.
            server_params_list: further servers, each in one object.
            allow_partial_failure: whether a run goes without the tools of a server that cannot be
                used; else it fails.
            **options: see :class:`MCPOptions`.

        Raises:
            ConfigurationError: what was given cannot be used.
            MissingExtraError: the SDK is not installed.
            TypeError: there is no such keyword; the text names the nearest one.
        """
        urls = urls or ()
        transports: Sequence[str | None] = urls_transports or [None] * len(urls)
        if len(transports) != len(urls):
            raise ConfigurationError("urls_transports must name one transport for each of urls.")
        headers = options.get("headers")
        servers = [
            *(server_run_by(each, env) for each in commands or ()),
            *(server_at(*each, headers) for each in zip(urls, transports, strict=True)),
            *map(server_of, server_params_list or ()),
        ]
        super().__init__(servers, options, allow_partial_failure=allow_partial_failure)


def _check_installed() -> None:
    """Make sure that the SDK is there, without the second that importing it takes."""
    with suppress(ValueError):  # It is hidden.
        if find_spec("mcp") is not None:
            return
    raise MissingExtraError.of("mcp", "mcp")


async def _tools_of(connect: Connect) -> "list[ServerTool]":
    """Return the tools of a server; a session that turns out to be lost is opened again.

    Raises:
        ToolsetError: the server cannot be used, or refused to say.
    """
    from mcp import MCPError

    for is_last in (False, True):
        async with connect() as connection:
            try:
                return await connection.tools()
            except MCPError as error:
                await connection.failure()
                if is_last or not (connection.is_unknown() or connection.is_lost):
                    raise ToolsetError(
                        f"The MCP server {connection.server.name} did not say which tools it has: "
                        f"{connection.told(error)}"
                    ) from error
    raise AssertionError("the last try returns or raises")
