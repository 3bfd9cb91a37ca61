"""A tool of a server, and what becomes of a call whose server is lost in the middle."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from typing_extensions import Unpack, override

from kern.errors import KernError, ToolsetError, described
from kern.run.base import RunContext
from kern.run.requirement import CallPaused, RunRequirement
from kern.run.tool import ToolSchema
from kern.tools.base import Tool, ToolResult
from kern.tools.mcp.connection import Connection, OpenCall, RepeatError
from kern.tools.mcp.content import result_of
from kern.tools.mcp.events import MCPProgressEvent
from kern.tools.mcp.questions import Questions
from kern.tools.rules import ToolRules

if TYPE_CHECKING:
    from mcp import ClientSession, MCPError
    from mcp.types import (
        CallToolResult,
        ElicitRequestParams,
        ElicitResult,
        InputRequiredResult,
        RequestParamsMeta,
    )

logger = logging.getLogger("kern.mcp")

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Gives the session of a call."""

# Seconds before each further try of a call whose server is not there.
_PAUSES = (0.1, 0.5, 2.0)

# How many further requests a server may ask for in a call, with nothing for a person to answer.
_MOST_ROUNDS = 1000

# Seconds between two that readers are told of a call's progress.
_PROGRESS = 0.1

# Where a server finds what names the call, the same each time it is made.
_KEY = "kern/idempotency-key"

_UNKNOWN = (
    "The MCP server was lost while the call was under way. It may have had its effect, or not."
)


class OutcomeUnknown(KernError):  # noqa: N818 # What it says is no error yet.
    """A server was lost in the middle of a call."""


class MCPTool(Tool):
    """A tool of a server.

    Attributes:
        own_name: what the server calls it.
    """

    def __init__(
        self, schema: ToolSchema, own: str, connect: Connect, **rules: Unpack[ToolRules]
    ) -> None:
        """Keep how it is called.

        Args:
            schema: what the model is told.
            own: what the server calls the tool.
            connect: gives the session of a call.
            **rules: see :class:`~kern.tools.rules.ToolRules`.

        Raises:
            ConfigurationError: a rule or the name cannot be used.
        """
        super().__init__(schema, **rules)
        self.own_name = own
        self._connect = connect

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        call = _Call(self, self.read(arguments), context, limit)
        pauses = iter(_PAUSES)
        while True:
            limit.reschedule(None)  # A server may take long to start.
            try:
                async with self._connect() as connection:
                    return result_of(await call.made(connection))
            except RepeatError:
                call.questions.repeat()
            except ToolsetError as error:
                if (pause := next(pauses, None)) is None:
                    raise
                logger.info("run %s: %s", context.run_id, error)
                await asyncio.sleep(pause)
            except OutcomeUnknown:
                if self.on_interrupt == "pause":
                    raise CallPaused([_unknown()]) from None
                if self.on_interrupt != "retry" or (pause := next(pauses, None)) is None:
                    raise
                logger.info("run %s: %s is called once more", context.run_id, self.name)
                call.questions.repeat()
                await asyncio.sleep(pause)


class _Call:
    """One call of a tool, over the sessions that it may need."""

    def __init__(
        self, tool: MCPTool, arguments: dict[str, Any], context: RunContext, limit: asyncio.Timeout
    ) -> None:
        self.questions = Questions(context.answers)
        self._tool = tool
        self._arguments = arguments
        self._context = context
        self._limit = limit
        self._told_at = 0.0

    async def made(self, connection: Connection) -> "CallToolResult":
        """Make the call in a session.

        Raises:
            CallPaused: a person has to answer what the server asks.
            RepeatError: it was given up, and is to be made once more.
            ToolsetError: the server was lost before it was sent.
            OutcomeUnknown: it was lost after that.
            MCPError: the server refused.
        """
        from mcp.types import CallToolResult

        call = OpenCall(self._tool.on_interrupt == "retry", self._context.emit, self._answer)
        for number in range(_MOST_ROUNDS):
            result = await self._sent(connection, call)
            if isinstance(result, CallToolResult):
                return result
            self.questions.take(result)
            if not self.questions.responses:  # It only wants to be asked again.
                await asyncio.sleep(min(0.05 * 2**number, 5.0))
        raise KernError(f"The MCP server has answered {_MOST_ROUNDS} times that it needs more.")

    async def _sent(
        self, connection: Connection, call: OpenCall
    ) -> "CallToolResult | InputRequiredResult":
        """Send the request, once more where the server only needs it in another form."""
        from mcp import MCPError

        for _ in range(3):
            self._tool.begin(self._limit)
            try:
                return await connection.send(call, self._request)
            except MCPError as error:
                await self._mend(connection, call, error)
        raise KernError("The MCP server refuses every form of the call.")

    async def _request(self, session: "ClientSession") -> "CallToolResult | InputRequiredResult":
        return await session.call_tool(
            self._tool.own_name,
            self._arguments,
            progress_callback=self._progress,
            input_responses=self.questions.responses,
            request_state=self.questions.state,
            meta=cast("RequestParamsMeta", {_KEY: self._context.idempotency_key}),
            allow_input_required=True,
        )

    async def _mend(self, connection: Connection, call: OpenCall, error: "MCPError") -> None:
        """Do what lets the request be sent once more; raise where nothing does."""
        from mcp import types

        if connection.is_unknown(call):
            raise ToolsetError(f"The session with {connection.server.name} has ended.") from error
        match error.code:
            case types.INVALID_PARAMS if self.questions.state is not None and call.may_repeat:
                logger.info("%s does not know its state any more", connection.server.name)
                self.questions.forget()
            case types.HEADER_MISMATCH:
                await connection.tools()  # The session knows its headers from them.
            case types.URL_ELICITATION_REQUIRED:
                self._visit(error)
            case types.CONNECTION_CLOSED:
                await self._lost(connection, error)
            case _:
                raise KernError(connection.told(error, call)) from error

    async def _lost(self, connection: Connection, error: "MCPError") -> NoReturn:
        from httpx2 import ConnectError, ConnectTimeout

        failure = await connection.failure()
        if isinstance(failure, ConnectError | ConnectTimeout):
            raise ToolsetError(
                f"The MCP server {connection.server.name} was not reached: {described(failure)}"
            ) from error
        raise OutcomeUnknown(_UNKNOWN) from error

    def _visit(self, error: "MCPError") -> None:
        """Have a person visit the addresses that a call needs; raise what the server has said.

        Raises:
            CallPaused: nobody has yet.
            MCPError: a person has declined.
        """
        from mcp import UrlElicitationRequiredError

        asked = UrlElicitationRequiredError.from_error(error.error).elicitations
        if not asked or any(self.questions.answer(each).action != "accept" for each in asked):
            raise error

    def _answer(self, asked: "ElicitRequestParams") -> "ElicitResult":
        from mcp.types import ElicitResult

        if self._tool.on_interrupt == "retry":
            return self.questions.answer(asked)
        logger.warning(
            "run %s: the MCP server asks in the middle of a call of %s, which may not be made once "
            "more (on_interrupt=%r): it was told that nobody answers",
            self._context.run_id,
            self._tool.name,
            self._tool.on_interrupt,
        )
        return ElicitResult(action="decline")

    async def _progress(self, progress: float, total: float | None, message: str | None) -> None:
        if self._context.cancelled:
            return
        self._tool.begin(self._limit)  # Its time limit is for a server that says nothing.
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _PROGRESS or progress == total:
            self._told_at = now
            self._context.emit(MCPProgressEvent(progress=progress, total=total, message=message))


def _unknown() -> RunRequirement:
    return RunRequirement("", "unknown_outcome", message=_UNKNOWN)
