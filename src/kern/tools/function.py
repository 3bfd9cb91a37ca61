"""A function as a tool: called with the JSON that a model wrote.

Pydantic is imported once there is a tool: it takes as long as the rest of kern together.
"""

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, overload

from kern.aio.threads import call_in_thread
from kern.errors import ConfigurationError
from kern.run.base import RunContext
from kern.run.tool import ToolSchema

Function: TypeAlias = Callable[..., Any]
Interrupt: TypeAlias = Literal["retry", "fail", "pause"]

# What every provider accepts.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class InvalidArgumentsError(Exception):
    """A model's arguments do not fit a tool; the message tells the model what is wrong."""


class Tool:
    """A function that a model can have called.

    Attributes:
        name: what the model calls.
        schema: what the model is told.
        function: the function itself.
        on_interrupt: what becomes of a call that was under way when its process was lost.
        timeout: seconds that a call may take, or None for any.
    """

    def __init__(
        self,
        function: Function,
        *,
        name: str | None = None,
        description: str | None = None,
        on_interrupt: Interrupt = "retry",
        timeout: float | None = None,
    ) -> None:
        """Read the function's signature and docstring.

        Args:
            function: the function, synchronous (then it is called in a thread) or not. A
                parameter annotated with :class:`~kern.run.base.RunContext` is not shown to the
                model, and gets the context of the call.
            name: what the model calls; by default the function's name.
            description: what it is for; by default what the docstring says.
            on_interrupt: see :func:`tool`, as for ``timeout``.
            timeout: seconds that a call may take; by default any.

        Raises:
            ConfigurationError: it cannot be a tool, and why.
        """
        from kern.tools.signature import Signature, name_of

        if not callable(function):
            raise ConfigurationError(f"A tool must be a function, not {type(function).__name__}.")
        if on_interrupt not in ("retry", "fail", "pause"):
            raise ConfigurationError(
                f"on_interrupt must be 'retry', 'fail' or 'pause', not {on_interrupt!r}."
            )
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(f"timeout must be a number of seconds above 0: {timeout!r}.")
        self.timeout = timeout
        self.name = name or name_of(function)
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot name a tool: use 1 to 64 letters, digits, underscores and "
                "dashes. @tool(name=...) gives a function another name."
            )
        self.on_interrupt: Interrupt = on_interrupt
        self.requires_confirmation = False
        self.function = function
        self._signature = Signature(self.name, function)
        self.schema = ToolSchema(
            self.name,
            description or self._signature.description or self.name,
            self._signature.parameters,
        )

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    async def call(self, arguments: str, context: RunContext) -> str:
        """Call the function with what the model wrote.

        Where this is cancelled while a synchronous function is at work, its thread is left
        behind: ``context.cancelled`` tells the function, and its result is thrown away.

        Args:
            arguments: a JSON object.
            context: of this call.

        Returns:
            The result: a text as it is, anything else as JSON.

        Raises:
            InvalidArgumentsError: the arguments do not fit the signature.
            TimeoutError: it did not return within its timeout.
            ThreadLimitError: no thread became free for a synchronous function.
            Exception: what the function raised.
        """
        from pydantic import ValidationError
        from pydantic_core import to_jsonable_python

        try:
            values = self._signature.read(arguments, context)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}"
                for each in error.errors(include_url=False)
            )
            raise InvalidArgumentsError(f"The arguments do not fit {self.name}: {wrong}") from error
        limit = asyncio.timeout(None)
        try:
            async with limit:
                result = await self._result(partial(self.function, **values), limit)
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"it did not return within {self.timeout:g} s") from None
            raise
        finally:
            context.stop()
        if isinstance(result, str):
            return result
        try:
            return json.dumps(to_jsonable_python(result, fallback=str), ensure_ascii=False)
        except ValueError:  # Bytes that are no text, circles: it was done, whatever it returned.
            return str(result)

    async def _result(self, call: Callable[[], Any], limit: asyncio.Timeout) -> Any:
        """Return what the call returns, under a limit that begins when the call does."""

        def begin() -> None:
            if self.timeout is not None:
                limit.reschedule(asyncio.get_running_loop().time() + self.timeout)

        if inspect.iscoroutinefunction(inspect.unwrap(self.function)):
            begin()
            return await call()
        result = await call_in_thread(call, begin)
        return await result if inspect.isawaitable(result) else result


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    on_interrupt: Interrupt = "retry",
    timeout: float | None = None,
) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    on_interrupt: Interrupt = "retry",
    timeout: float | None = None,
) -> Tool | Callable[[Function], Tool]:
    """Make a function a tool; an agent takes plain functions as they are, too.

    Args:
        function: the function, where this is used as ``@tool`` without arguments.
        name: what the model calls; by default the function's name.
        description: what it is for; by default what the docstring says.
        on_interrupt: what becomes of a call that was under way when its process was lost, and
            may have had its effect: ``"retry"`` makes it again, with the same idempotency key;
            ``"fail"`` tells the model that its outcome is unknown; ``"pause"`` pauses the run for
            a person to decide.
        timeout: seconds that a call may take, a wait for a thread not counted; then the model is
            told that it took too long. A synchronous function goes on in its thread until it
            looks at ``context.cancelled``.

    Raises:
        ConfigurationError: the function cannot be a tool, and why.
    """
    make = partial(
        Tool, name=name, description=description, on_interrupt=on_interrupt, timeout=timeout
    )
    return make if function is None else make(function)
