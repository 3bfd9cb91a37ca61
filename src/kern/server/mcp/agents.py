"""The server of MCP: what its clients may ask for, and who answers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from mcp import MCPError
from mcp.server import Server
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CancelledNotificationParams,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    RequestId,
)

from kern import __version__
from kern.errors import KernError
from kern.server.caller import Caller, Scope
from kern.server.mcp.call import Call, Context
from kern.server.mcp.results import refusal
from kern.server.mcp.settings import Settings
from kern.server.mcp.tools import AgentTools
from kern.server.problems import problem_of
from kern.server.runs.reach import Reach
from kern.server.service import Service

logger = logging.getLogger("kern.server")

_INSTRUCTIONS = (
    "Each tool but those of runs has an agent do something, in a run that goes on whatever happens "
    "to this connection. A call that takes longer returns a receipt with a run_id: call get_run "
    "with it to wait for the answer."
)


class AgentServer:
    """Agents as tools.

    Attributes:
        server: the SDK's server, for a transport.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        caller_of: Callable[[Context], Caller],
        *,
        is_one_client: bool = False,
    ) -> None:
        """Serve agents.

        Args:
            service: what is served.
            settings: how long calls wait, and whether answers are taken.
            caller_of: returns who sends a request.
            is_one_client: whether all requests are one client's, so that their ids name them.
        """
        self._service = service
        self._settings = settings
        self._caller_of = caller_of
        self._tools = AgentTools(service.agents.values())
        self._open: dict[RequestId, Call] = {}
        self._is_one_client = is_one_client
        self.server: Server[dict[str, Any]] = Server(
            "kern",
            version=__version__,
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
            get_tool_input_schema=_no_headers,
        )
        if is_one_client:
            self.server.add_notification_handler(
                "notifications/cancelled", CancelledNotificationParams, self._cancelled
            )

    async def _list(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        caller = self._caller_of(context)
        return ListToolsResult(tools=self._tools.listed(caller, answers=self._answers(caller)))

    async def _call(
        self, context: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        caller = self._caller_of(context)
        tool = self._tools.find(params.name, caller, answers=self._answers(caller))
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {params.name!r:.100}.")
        reach = Reach(caller, self._service.visible(caller))
        call = Call(self._service, self._settings, reach, context, params)
        number = context.request_id if self._is_one_client else None
        if number is not None:
            self._open[number] = call
        try:
            result = await call.made(tool)
        except Exception as error:
            result = refusal(problem_of(_foreseen(error, params.name)))
        # One that is cancelled stays for what comes next, which says so.
        if number is not None:
            self._open.pop(number, None)
        return result

    def _answers(self, caller: Caller) -> bool:
        return self._settings.answers and caller.may(Scope.approve)

    async def _cancelled(self, context: Context, params: CancelledNotificationParams) -> None:
        """Stop a call that its client has cancelled."""
        if params.request_id is None:
            return
        if (call := self._open.pop(params.request_id, None)) is not None:
            await call.stop()


def _no_headers(name: str) -> Mapping[str, Any] | None:
    """Say that no argument of a tool is to be in a header."""
    return None


def _foreseen(error: Exception, tool: str) -> KernError:
    """Return an error of kern; what nobody foresaw is logged, and not told."""
    if isinstance(error, KernError) and problem_of(error).status != 500:
        return error
    logger.error("The call of the tool %r has failed.", tool[:100], exc_info=error)
    return KernError()
