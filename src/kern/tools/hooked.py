"""A call of a tool that has hooks, or keeps its results."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kern.aio.threads import call_in_thread
from kern.binder import Binder, is_async
from kern.errors import AgentRunException, ThreadLimitError, described
from kern.run.base import RunContext
from kern.run.codec import dump
from kern.run.printable import in_log
from kern.tools.base import Execute, Tool, ToolResult
from kern.tools.call import FunctionCall
from kern.tools.function import FunctionTool
from kern.tools.kept import KeptResults
from kern.tools.result import as_result

logger = logging.getLogger("kern")


def execution_of(tool: Tool, around: Sequence[Binder]) -> Execute | None:
    """Return what does the work of a tool's calls, or None where the tool itself does.

    Args:
        tool: the tool.
        around: the agent's hooks around calls.
    """
    hooks = (*around, *tool.around)
    if hooks or tool.before or tool.after or tool.cache_results or "fc" in tool.asks_for:
        return partial(_execute, tool, hooks)
    return None


async def _execute(
    tool: Tool,
    hooks: Sequence[Binder],
    arguments: str,
    context: RunContext,
    limit: asyncio.Timeout,
) -> ToolResult:
    """Make a call with everything around it.

    Raises:
        ThreadLimitError: no thread became free for a synchronous function.
        BaseException: what the function or a hook has raised.
    """
    try:
        given = tool.read(arguments)
    except ValueError as error:
        return ToolResult(tool.told(error), is_error=True)
    call = FunctionCall(tool, given, call_id=context.tool_call_id)
    chain = _Chain(tool, hooks, call, context, limit)
    try:
        if tool.before is not None:
            await tool.before.call(chain.values(tool.before))
        call.result = await chain.proceed(0, call.arguments)
        if tool.after is not None:
            await _look_back(tool.after, chain)
        return await as_result(call.result, context)
    except BaseException as error:
        call.error = described(error)
        raise
    finally:
        chain.stop()


async def _look_back(after: Binder, chain: "_Chain") -> None:
    """Call the hook after a call; the call was made, whatever the hook raises."""
    try:
        await after.call(chain.values(after))
    except (AgentRunException, ThreadLimitError):
        raise
    except Exception as error:
        name, run_id = chain.call.function.name, chain.context.run_id
        told = in_log(described(error))
        logger.warning("run %s: the post_hook of the tool %s: %s", run_id, name, told)
        logger.debug("run %s: the post_hook of the tool %s raised", run_id, name, exc_info=error)


class _Chain:
    """The function of a tool, and the hooks around it: each in the loop or in a thread.

    An asynchronous hook awaits what is inside of it. A synchronous one is in a thread, and gets
    the result of what is inside as that returns: a function in the same thread, or a coroutine
    that the loop runs meanwhile.
    """

    def __init__(
        self,
        tool: Tool,
        hooks: Sequence[Binder],
        call: FunctionCall,
        context: RunContext,
        limit: asyncio.Timeout,
    ) -> None:
        self.call = call
        self.context = context
        self._tool = tool
        self._hooks = hooks
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._inner: set[asyncio.Task[object]] = set()
        self._has_begun = False
        self._kept = KeptResults(tool, _identity(tool)) if tool.cache_results else None

    def values(self, binder: Binder) -> dict[str, object]:
        """Return what a hook asks for."""
        return {**self.context.values(binder.names), "fc": self.call}

    def stop(self) -> None:
        """End what hooks that nobody waits for any more have begun."""
        for task in self._inner:
            task.cancel()

    async def proceed(self, at: int, arguments: dict[str, Any]) -> Any:
        """Return what a hook, or the function after the last of them, returns.

        Args:
            at: which hook, from 0 on.
            arguments: what a model or the hook around it has given.
        """
        if at == len(self._hooks):
            return await self._call(arguments)
        hook = self._hooks[at]
        if is_async(hook.function):
            returned = self._bound(at, arguments, partial(self._later, at + 1))()
        else:
            bound = self._bound(at, arguments, partial(self._now, at + 1))
            returned = await self._in_thread(bound)
        while inspect.isawaitable(returned):
            returned = await returned
        return returned

    def _bound(
        self, at: int, arguments: dict[str, Any], function: Callable[..., object]
    ) -> Callable[[], Any]:
        hook, name = self._hooks[at], self._tool.name
        return hook.bound(
            {
                **self.context.values(hook.names),
                **dict.fromkeys(("name", "function_name"), name),
                **dict.fromkeys(("function", "func", "function_call"), function),
                **dict.fromkeys(("args", "arguments"), arguments),
            }
        )

    async def _later(self, at: int, /, **arguments: Any) -> Any:
        return await self.proceed(at, arguments)

    def _now(self, at: int, /, **arguments: Any) -> Any:
        """Return what is inside of a hook that is in a thread."""
        tool = self._tool
        if self.context.cancelled:
            raise RuntimeError("the call was stopped, so nothing more of it is called")
        if at < len(self._hooks):
            if not is_async(self._hooks[at].function):
                returned = self._bound(at, arguments, partial(self._now, at + 1))()
                if not inspect.isawaitable(returned):
                    return returned
                return self._in_loop(partial(_awaited, returned))
        elif self._kept is None and isinstance(tool, FunctionTool) and not tool.is_async:
            returned = tool.bound(arguments, self.context, {"fc": self.call})()
            if not inspect.isawaitable(returned):
                return returned
            return self._in_loop(partial(_awaited, returned))
        return self._in_loop(partial(self.proceed, at, arguments))

    def _in_loop(self, work: Callable[[], Any]) -> object:
        """Return what a coroutine returns, from a thread."""

        async def tracked() -> object:
            task = asyncio.current_task()
            assert task is not None
            self._inner.add(task)
            try:
                return await work()
            finally:
                self._inner.discard(task)

        return asyncio.run_coroutine_threadsafe(tracked(), self._loop).result()

    async def _call(self, arguments: dict[str, Any]) -> Any:
        """Return what the function itself returns, or what it returned before."""
        if self._kept is None:
            return await self._made(arguments)
        is_own = bool(self._tool.asks_for)
        path = self._kept.path(arguments, self.context if is_own else None)
        if (kept := await self._kept.read(path)) is None:
            kept = await as_result(await self._made(arguments), self.context)
            await self._kept.write(path, kept)
        if kept.data is not None:
            return kept.data
        return kept.content if kept == ToolResult(kept.content) else kept

    async def _made(self, arguments: dict[str, Any]) -> Any:
        tool = self._tool
        if not isinstance(tool, FunctionTool):
            return await tool.execute(dump(arguments), self.context, self._limit)
        call = tool.bound(arguments, self.context, {"fc": self.call})
        returned = call() if tool.is_async else await self._in_thread(call)
        while inspect.isawaitable(returned):
            returned = await returned
        return returned

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        if self._has_begun:
            return await call_in_thread(call)
        self._has_begun = True  # A wait for the first thread is not counted.
        self._limit.reschedule(None)
        return await call_in_thread(call, partial(self._tool.begin, self._limit))


async def _awaited(returned: Any) -> Any:
    while inspect.isawaitable(returned):
        returned = await returned
    return returned


def _identity(tool: Tool) -> str:
    """Return what names the code of a tool, wherever the process is."""
    code: object = inspect.unwrap(tool.function) if isinstance(tool, FunctionTool) else type(tool)
    return f"{getattr(code, '__module__', '')}.{getattr(code, '__qualname__', type(code).__name__)}"
