"""What runs do, shown at the level DEBUG: middleware of those with ``debug_mode``.

The lines go to the logger ``kern.debug``: on standard error where the program has
set up no logging.
"""

import logging
import time
from collections.abc import Awaitable, Callable

from typing_extensions import override

from kern.execution.middleware import AskModel, CallTool, Middleware
from kern.models.base import ModelRequest, ModelResponse
from kern.run.agent import RunOutput
from kern.run.base import RunInfo
from kern.run.content import text_of
from kern.run.message import Message
from kern.run.printable import call_line, one_line, printable
from kern.run.tool import ToolCall
from kern.tools import ToolResult
from kern.utils.log import shown

# How much of a text is in a line of level 1, in characters.
_MOST = 500


class DebugLog(Middleware):
    """Logs what models and tools are given, and what they answer."""

    def __init__(self, level: int = 1) -> None:
        """Show nothing yet.

        Args:
            level: 1 for a line each, with the beginning of its text; 2 for the whole text, of all
                messages.
        """
        self._level = level
        self._logger = shown("kern.debug", logging.DEBUG)

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        """Log the begin and the end of an attempt."""
        self._say(run, f"attempt {run.attempt} of {run.agent_id} in session {run.session_id}")
        output = await proceed()
        used = output.metrics
        took = "" if used.duration is None else f", {used.duration:.2f} s"
        tokens = f"{used.input_tokens} + {used.output_tokens} tokens"
        self._say(run, f"{output.status}: {tokens}{took}")
        return output

    @override
    async def model_call(self, run: RunInfo, request: ModelRequest, ask: AskModel) -> ModelResponse:
        """Log what a model is told, and what it answers."""
        messages = request.messages if self._level > 1 else request.messages[-1:]
        names = ", ".join(tool.name for tool in request.tools) or "none"
        self._say(run, f"asks its model with {len(request.messages)} messages; tools: {names}")
        for message in messages:
            self._show(run, message)
        began = time.monotonic()
        response = await ask(request)
        used, took = response.metrics, time.monotonic() - began
        said = f"{used.input_tokens} + {used.output_tokens} tokens, {took:.2f} s"
        self._say(run, f"{response.model or 'its model'} answered: {said}")
        self._show(run, response.message)
        return response

    @override
    async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
        """Log the result of a tool call."""
        began = time.monotonic()
        result = await make(call)
        what = "failed" if result.is_error else "returned"
        text = self._cut(text_of(result.content))
        self._say(run, f"{call.name} {what} after {time.monotonic() - began:.2f} s: {text}")
        return result

    def _show(self, run: RunInfo, message: Message) -> None:
        if message.text:
            self._say(run, f"{message.role}: {self._cut(message.text)}")
        for call in message.tool_calls:
            shown = f"{call.name}({printable(call.arguments)})"
            line = shown if self._level > 1 else call_line(call.name, call.arguments)
            self._say(run, f"{message.role} calls {line}")

    def _cut(self, text: str) -> str:
        return printable(text) if self._level > 1 else one_line(text, _MOST)

    def _say(self, run: RunInfo, text: str) -> None:
        self._logger.debug("run %s: %s", run.run_id, text, extra={"run_id": run.run_id})
