"""A session with a server: opened and closed by a task of its own, used by calls side by side."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kern.errors import ToolsetError, described
from kern.extras import extra
from kern.run.requirement import CallPaused
from kern.tools.mcp.events import MCPLogEvent
from kern.tools.mcp.servers import Headers, Server, Streams

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.client import ClientRequestContext, Transport
    from mcp.types import (
        ElicitRequestParams,
        ElicitResult,
        LoggingLevel,
        LoggingMessageNotificationParams,
        Tool,
    )

logger = logging.getLogger("kern.mcp")

T = TypeVar("T")

# How many pages of tools are read: a server that has more may have no last one.
_MOST_PAGES = 100

# Seconds in which a session notices that its transport has failed, or that it was given up.
_NOTICE = 0.5

_GRACE = 2.0

# Seconds in which a server has to start and to say what it is: a command may install it first.
_OPENING = 60.0


class RepeatError(Exception):
    """A call was given up, to be made once more, alone."""


@dataclass(eq=False)
class OpenCall:
    """A call that a server is at work on.

    Attributes:
        may_repeat: whether it may be made once more.
        tell: takes what its readers are told meanwhile.
        answer: answers what the server asks, or raises CallPaused where nobody has yet.
        work: the request.
        given_up: why it was given up, if it was.
        status: the HTTP status of its answer, or 0.
    """

    may_repeat: bool
    tell: Callable[[object], None]
    answer: "Callable[[ElicitRequestParams], ElicitResult]"
    work: asyncio.Task[object] | None = None
    given_up: Exception | None = None
    status: int = 0

    async def give_up(self, reason: Exception) -> None:
        """Cancel the request, and wait until the server was told."""
        assert self.work is not None, "it is open"
        self.given_up = self.given_up or reason
        self.work.cancel()
        await asyncio.wait({self.work}, timeout=_GRACE)


# Over HTTP the SDK calls back in the context of the request that it is about.
_current: ContextVar[OpenCall | None] = ContextVar("mcp_call", default=None)


class Connection:
    """A session with a server.

    Attributes:
        uses: how many use it at the moment.
    """

    uses = 0

    def __init__(
        self,
        server: Server,
        headers: Headers,
        log_level: "LoggingLevel | None",
        protocol: str = "auto",
    ) -> None:
        """Prepare, without opening anything.

        Args:
            server: where the server is.
            headers: what is sent with every request.
            log_level: from which level on the server is to tell what it logs; None for nothing.
            protocol: ``"legacy"`` for the one until 2025; ``"auto"`` for the newest that there is.
        """
        self.server = server
        self._headers = headers
        self._log_level = log_level
        self._protocol = protocol
        self._session: ClientSession | None = None
        self._failure: BaseException | None = None
        self._owner: asyncio.Task[None] | None = None
        self._status = 0
        self._ends = asyncio.Event()
        self._calls: set[OpenCall] = set()
        self._alone = False
        self._room = asyncio.Condition()

    @classmethod
    def given(cls, server: Server, session: "ClientSession") -> "Connection":
        """Return a session that its user has opened, and closes."""
        connection = cls(server, (), None)
        connection._session = session
        return connection

    @property
    def session(self) -> "ClientSession":
        """The SDK's session."""
        assert self._session is not None, "it is open"
        return self._session

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be used any more."""
        return self._ends.is_set() or (self._owner is not None and self._owner.done())

    async def open(self) -> None:
        """Open it.

        Raises:
            ToolsetError: the server did not start, was not reached, or refused.
            MissingExtraError: the SDK is not installed.
        """
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # In a context of its own: it serves more than the run that was the first to ask.
        self._owner = asyncio.create_task(self._own(opened), context=Context())
        try:
            await asyncio.wait(
                {opened, self._owner}, timeout=_OPENING, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            if not opened.done():
                self._owner.cancel()
        if not opened.done():
            raise self._unreached()

    async def close(self) -> None:
        """Close it, and end the server if it was started for it."""
        self._ends.set()
        if self._owner is not None and self._owner is not asyncio.current_task():
            await asyncio.wait({self._owner})

    async def tools(self) -> "list[Tool]":
        """Return the server's tools, of all pages.

        Raises:
            MCPError: the server refused, or is gone.
        """
        from mcp.types import PaginatedRequestParams

        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            params = PaginatedRequestParams(cursor=cursor) if cursor is not None else None
            page = await self.session.list_tools(params=params)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return found
        raise ToolsetError(f"The MCP server {self.server.name} has no end of tools.")

    async def send(
        self, call: OpenCall, request: "Callable[[ClientSession], Coroutine[Any, Any, T]]"
    ) -> T:
        """Send the request of a call, and return what the server answers.

        Args:
            call: the call.
            request: sends it.

        Raises:
            CallPaused: the server asked what nobody has answered yet; the call was given up.
            RepeatError: the call was given up, and is to be made once more.
            Exception: what the request raised.
        """
        async with self._room:
            await self._room.wait_for(lambda: not (self._alone and self._calls))
            self._calls.add(call)
        _current.set(call)
        work = asyncio.create_task(request(self.session))
        call.work = work
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work}, timeout=_GRACE)
            raise
        finally:
            self._calls.discard(call)
            async with self._room:
                self._room.notify_all()
        if work.cancelled() and call.given_up is not None:
            raise call.given_up
        return work.result()

    def is_unknown(self, call: OpenCall | None = None) -> bool:
        """Say whether the server did not know the session any more; it is not used then.

        Args:
            call: in which the server has refused; by default outside of calls.
        """
        status = self._status if call is None else call.status
        is_unknown = status == 404 and self.session.initialize_result is not None
        if is_unknown:
            self._ends.set()
        return is_unknown

    def told(self, error: BaseException, call: OpenCall | None = None) -> str:
        """Return what to say of an error, with the HTTP status that the server has answered.

        Args:
            error: the error.
            call: in which it was; by default outside of calls.
        """
        status = self._status if call is None else call.status
        return described(_innermost(error)) + (f" (HTTP {status})" if status >= 400 else "")

    async def failure(self) -> BaseException | None:
        """Return what it was lost by, as far as that is known; None where it goes on."""
        if self._owner is not None:
            await asyncio.wait({self._owner}, timeout=_NOTICE)
        return None if self._failure is None else _innermost(self._failure)

    async def _own(self, opened: "asyncio.Future[None]") -> None:
        """Open the session, and close it where it was opened, as the SDK wants it."""
        try:
            with extra("mcp"):
                from mcp.client import Client
                from mcp.types import Implementation
            async with Client(
                self._watched(self.server.transport(self._headers, self._answered)),
                mode=self._protocol,
                client_info=Implementation(name="kern", version="1"),
                elicitation_callback=self._elicit,
                logging_callback=self._log,
                log_level=self._log_level,
            ) as client:
                self._session = client.session
                await self._ask_for_log(client.session)
                opened.set_result(None)
                await self._ends.wait()
        except Exception as error:
            self._failure = error
            logger.debug("the session with %s failed", self.server.name, exc_info=error)
        finally:
            self._ends.set()

    async def _ask_for_log(self, session: "ClientSession") -> None:
        """Ask a server of an older protocol for what it logs; newer ones are asked in each call."""
        from mcp import MCPError
        from mcp.types import EmptyResult, SetLevelRequest, SetLevelRequestParams

        can = session.server_capabilities
        if self._log_level is None or session.initialize_result is None:
            return
        if can is not None and can.logging is not None:
            params = SetLevelRequestParams(level=self._log_level)
            with suppress(MCPError):  # It does without.
                await session.send_request(SetLevelRequest(params=params), EmptyResult)

    @asynccontextmanager
    async def _watched(self, transport: "Transport") -> AsyncGenerator[Streams, None]:
        """Open a transport, and notice when the server's side of it ends."""
        async with transport as (reading, writing):
            yield _Watched(reading, self._ends.set), writing

    def _answered(self, status: int) -> None:
        call = _current.get()
        if call in self._calls:
            call.status = status
        else:
            self._status = status

    def _unreached(self) -> Exception:
        error = self._failure
        if isinstance(error, ToolsetError | ImportError):
            return error
        reason = "it ended, or said nothing for a minute" if error is None else self.told(error)
        return ToolsetError(
            f"The MCP server {self.server.name} cannot be used: {reason}. Look whether it runs, "
            "and whether it speaks MCP there."
        )

    @property
    def _asking(self) -> OpenCall | None:
        """The call that a message of the server is about, if that can be known."""
        call = _current.get()
        if call is None and len(self._calls) == 1:
            [call] = self._calls
        return call if call in self._calls else None

    async def _log(self, params: "LoggingMessageNotificationParams") -> None:
        logger.debug("%s: %s: %s", self.server.name, params.level, params.data)
        if (call := self._asking) is not None:
            call.tell(MCPLogEvent(level=params.level, logger=params.logger, data=params.data))

    async def _elicit(
        self, context: "ClientRequestContext", params: "ElicitRequestParams"
    ) -> "ElicitResult":
        """Answer a server of an older protocol, which asks in the middle of a call."""
        from mcp.types import ElicitResult

        call = self._asking
        if call is not None:
            try:
                return call.answer(params)
            except CallPaused as paused:
                await call.give_up(paused)
                return ElicitResult(action="cancel")
        # It does not say which of several calls it is about: from now on there is one at a time.
        self._alone = True
        logger.info("%s asks in the middle of calls: they are made one by one", self.server.name)
        repeated = [each for each in self._calls if each.may_repeat]
        await asyncio.gather(*(each.give_up(RepeatError()) for each in repeated))
        return ElicitResult(action="decline")


class _Watched:
    """What a server sends; it is noticed when that ends."""

    def __init__(self, stream: Any, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except Exception:  # Its end is one, too.
            self._on_end()
            raise

    async def __aenter__(self) -> "_Watched":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        closed: bool | None = await self._stream.__aexit__(*error)
        return closed


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
