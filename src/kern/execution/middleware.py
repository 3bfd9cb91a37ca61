"""What is done around runs, model calls and tool calls, without the loop knowing of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from kern.models.base import ModelRequest, ModelResponse
from kern.run.agent import RunOutput
from kern.run.tool import ToolCall
from kern.tools import ToolResult

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which attempt at which run something happens in.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: its agent.
        user_id: on whose behalf it runs.
        attempt: which attempt at the run this is, from 1 on.
        parent_run_id: the run whose tool started it.
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    attempt: int
    parent_run_id: str | None


AskModel: TypeAlias = Callable[[ModelRequest], Awaitable[ModelResponse]]
CallTool: TypeAlias = Callable[[ToolCall], Awaitable[ToolResult]]


class Middleware:
    """Something that is done around runs, model calls and tool calls; override what is needed.

    Each method gets what it is around as a function and returns what that returns, or something
    else. An attempt that is repeated goes through them again; a step that was journaled does not.

    Example:
        >>> class Timed(Middleware):
        ...     async def model_call(self, run, request, ask):
        ...         began = time.monotonic()
        ...         response = await ask(request)
        ...         print(run.run_id, time.monotonic() - began)
        ...         return response
    """

    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        """Do something around an attempt, up to and with the settlement of the run.

        Args:
            run: the run.
            proceed: executes the attempt, and returns the run as it is then: ended, paused, or
                PENDING where a later attempt goes on. It is cancelled where the run is released.
        """
        return await proceed()

    async def model_call(self, run: RunInfo, request: ModelRequest, ask: AskModel) -> ModelResponse:
        """Do something around a model call.

        Args:
            run: the run.
            request: what the model is asked.
            ask: asks it; readers of the run get pieces of the answer meanwhile.
        """
        return await ask(request)

    async def tool_call(self, run: RunInfo, call: ToolCall, make: CallTool) -> ToolResult:
        """Do something around a tool call.

        Args:
            run: the run.
            call: the call.
            make: makes it.
        """
        return await make(call)


def around_run(
    middleware: Sequence[Middleware], run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]
) -> Callable[[], Awaitable[RunOutput]]:
    """Return ``proceed`` with everything that is done around it, the first outermost."""
    for each in reversed(middleware):
        proceed = partial(each.run, run, proceed)
    return proceed


def around_model(middleware: Sequence[Middleware], run: RunInfo, ask: AskModel) -> AskModel:
    """Return ``ask`` with everything that is done around it, the first outermost."""
    for each in reversed(middleware):
        ask = partial(_with, each.model_call, run, ask)
    return ask


def around_tool(middleware: Sequence[Middleware], run: RunInfo, make: CallTool) -> CallTool:
    """Return ``make`` with everything that is done around it, the first outermost."""
    for each in reversed(middleware):
        make = partial(_with, each.tool_call, run, make)
    return make


def _with(
    method: Callable[[RunInfo, Asked, Callable[[Asked], Awaitable[Answer]]], Awaitable[Answer]],
    run: RunInfo,
    inner: Callable[[Asked], Awaitable[Answer]],
    asked: Asked,
) -> Awaitable[Answer]:
    return method(run, asked, inner)
