"""A function as a tool: called with the JSON that a model wrote.

Pydantic is imported once there is a tool: it takes as long as the rest of kern together.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable
from copy import copy
from functools import cached_property, partial
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from typing_extensions import override

from kern.aio.threads import call_in_thread
from kern.errors import ConfigurationError
from kern.keywords import explained
from kern.run.base import RunContext
from kern.run.tool import ToolSchema
from kern.tools.base import Interrupt, Tool, ToolResult, Toolset, or_none
from kern.tools.result import as_result, told

P = ParamSpec("P")
R = TypeVar("R")
Instance = TypeVar("Instance")
Rest = ParamSpec("Rest")


class FunctionTool(Tool, Generic[P, R]):
    """A function that a model can have called; code calls it like the function.

    Attributes:
        function: the function itself.
    """

    @explained
    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
        on_interrupt: Interrupt = "retry",
        timeout: float | None = None,
        requires_confirmation: bool = False,
    ) -> None:
        """Read the function's signature and docstring.

        Args:
            function: the function, synchronous (then it is called in a thread) or not. A
                parameter annotated with :class:`~kern.run.base.RunContext` is not shown to the
                model, and gets the context of the call; one of a type such as ``list[Image]``
                (:mod:`kern.media`) gets the run's images.
            name: what the model calls; by default the function's name.
            description: what it is for; by default what the docstring says.
            strict: see :class:`ToolSchema`.
            on_interrupt: see :class:`Tool`, as for the rest.
            timeout: seconds that a call may take, a wait for a thread not counted; by default any.
                A synchronous function goes on in its thread until it looks at
                ``context.cancelled``.
            requires_confirmation: whether a person has to confirm each call.

        Raises:
            ConfigurationError: it cannot be a tool, and why.
        """
        from kern.tools.signature import Signature, name_of

        if not callable(function):
            hint = ""
            if isinstance(function, dict):
                hint = " A tool of the provider goes to the model: request_params={'tools': [...]}."
            kind = type(function).__name__
            raise ConfigurationError(f"A tool must be a function, not {kind}.{hint}")
        given: object = function
        if isinstance(given, type) and issubclass(given, Tool | Toolset):
            kind = given.__name__
            raise ConfigurationError(f"{kind} is a class of tools. Give one of them: {kind}().")
        name = name or name_of(function)
        self.function = function
        self._signature = Signature(name, function)
        self.takes_media = self._signature.takes_media
        self.takes_state = self._signature.takes_state
        super().__init__(
            ToolSchema(
                name,
                description or self._signature.description or name,
                self._signature.parameters,
                strict,
            ),
            on_interrupt=on_interrupt,
            timeout=timeout,
            requires_confirmation=requires_confirmation,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: "FunctionTool[Concatenate[Instance, Rest], R]",
        instance: Instance,
        owner: type | None = None,
        /,
    ) -> "FunctionTool[Rest, R]": ...

    def __get__(self, instance: object, owner: type | None = None, /) -> "FunctionTool[..., R]":
        """Return the tool of a method, for the instance it is looked up on."""
        bind = getattr(self.function, "__get__", None)
        if instance is None or bind is None:
            return self
        bound = copy(self._method)
        bound.function = bind(instance, owner)
        return bound

    @cached_property
    def _method(self) -> "FunctionTool[..., R]":
        """The tool of a method, without its instance: to read a signature takes milliseconds."""
        return FunctionTool(
            MethodType(self.function, self),
            name=self.name,
            description=self.schema.description,
            strict=self.schema.strict,
            on_interrupt=self.on_interrupt,
            timeout=self.timeout,
            requires_confirmation=self.requires_confirmation,
        )

    @property
    def lacks_instance(self) -> bool:
        """Whether it is a method that was looked up on its class, and not on an object."""
        return "self" in inspect.signature(self.function).parameters

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the function is at the level of a module, so it holds nothing of a caller."""
        function = inspect.unwrap(self.function)
        return (
            inspect.isfunction(function)
            and function.__closure__ is None
            and "." not in function.__qualname__
        )

    @override
    def unfit(self, arguments: str) -> str | None:
        from kern.tools.arguments import UnfitError

        try:
            self._signature.check(or_none(arguments))
        except UnfitError as error:
            return self._told(error)
        except BaseException:  # Raised by the types of a user's; the call will tell of it.
            return None
        return None

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        """Call the function with what the model wrote.

        Where this is cancelled while a synchronous function is at work, its thread is left
        behind: ``context.cancelled`` tells the function, and its result is thrown away.

        Returns:
            A ToolResult or text as the function returned it, what a generator yields, anything
            else as JSON; an error where the arguments do not fit the signature.

        Raises:
            ThreadLimitError: no thread became free for a synchronous function.
            BaseException: what the function raised, or a TypeError where what it returned has no
                text.
        """
        from kern.tools.arguments import UnfitError

        try:
            values = self._signature.read(arguments, context)
        except UnfitError as error:
            return ToolResult(self._told(error), is_error=True)
        function: Callable[..., Any] = self.function
        call = partial(function, **values)
        definition = inspect.unwrap(function)
        if inspect.iscoroutinefunction(definition) or inspect.isasyncgenfunction(definition):
            return await as_result(call())

        def work() -> object:
            returned = call()
            if inspect.isawaitable(returned) or isinstance(returned, AsyncIterable):
                return returned
            return told(returned, lambda: context.cancelled)

        limit.reschedule(None)
        return await as_result(await call_in_thread(work, partial(self._begin, limit)))

    def _told(self, error: Exception) -> str:
        return f"The arguments do not fit {self.name}: {error}"


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    on_interrupt: Interrupt = "retry",
    timeout: float | None = None,
    requires_confirmation: bool = False,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


@explained
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    on_interrupt: Interrupt = "retry",
    timeout: float | None = None,
    requires_confirmation: bool = False,
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a function a tool; an agent takes plain functions as they are, too.

    Args:
        function: the function, where this is used as ``@tool`` without arguments.
        name: what the model calls; by default the function's name.
        description: what it is for; by default what the docstring says.
        strict: have the provider hold the model to the parameters, where it can (OpenAI, Claude);
            kern looks at the arguments anyway, and tells the model what does not fit.
        on_interrupt: what becomes of a call that was under way when its process was lost, and
            may have had its effect: ``"retry"`` makes it again, with the same idempotency key;
            ``"fail"`` tells the model that its outcome is unknown; ``"pause"`` pauses the run for
            a person to decide.
        timeout: seconds that a call may take, a wait for a thread not counted; then the model is
            told that it took too long. A synchronous function goes on in its thread until it
            looks at ``context.cancelled``.
        requires_confirmation: whether a person has to confirm each call before it is made.

    Returns:
        The tool; code calls it like the function.

    Raises:
        ConfigurationError: the function cannot be a tool, and why.

    Example:
        >>> @tool(requires_confirmation=True)
        ... def refund(amount: int) -> str:
        ...     '''Refund an amount in cents.'''
        ...     return f"refunded {amount}"
        >>> refund(5)
        'refunded 5'
        >>> refund.schema.description
        'Refund an amount in cents.'
    """

    def make(function: Callable[P, R]) -> FunctionTool[P, R]:
        return FunctionTool(
            function,
            name=name,
            description=description,
            strict=strict,
            on_interrupt=on_interrupt,
            timeout=timeout,
            requires_confirmation=requires_confirmation,
        )

    return make if function is None else make(function)
