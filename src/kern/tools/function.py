"""A function as a tool: called with the JSON that a model wrote.

Pydantic is imported once there is a tool: it takes as long as the rest of kern together.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from typing_extensions import Unpack, override

from kern.aio.threads import call_in_thread
from kern.binder import is_portable, name_of
from kern.errors import ConfigurationError
from kern.keywords import explained, nearest, shown
from kern.run.base import RunContext
from kern.run.requirement import UserFeedbackOption, UserFeedbackQuestion, UserInputField
from kern.run.tool import ToolSchema
from kern.tools.base import Tool, ToolResult, or_none
from kern.tools.call import FunctionCall
from kern.tools.result import as_result, told
from kern.tools.rules import MARK, ToolRules, checked
from kern.tools.toolset import Toolset

__all__ = [
    "Function",
    "FunctionCall",
    "FunctionTool",
    "ToolResult",
    "UserFeedbackOption",
    "UserFeedbackQuestion",
    "UserInputField",
    "tool",
]

P = ParamSpec("P")
R = TypeVar("R")
Instance = TypeVar("Instance")
Rest = ParamSpec("Rest")

_NOTHING: Mapping[str, object] = MappingProxyType({})


class FunctionTool(Tool, Generic[P, R]):
    """A function that a model can have called; code calls it like the function.

    Attributes:
        function: the function itself.

    Example:
        >>> def weather(city: str) -> str:
        ...     '''Tell the weather of a city.'''
        ...     return f"It rains in {city}."
        >>> found = FunctionTool(weather, name="forecast")
        >>> found("Oslo"), found.name, found.schema.description
        ('It rains in Oslo.', 'forecast', 'Tell the weather of a city.')
    """

    @explained
    def __init__(
        self,
        function: Callable[P, R] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
        parameters: dict[str, Any] | None = None,
        entrypoint: Callable[P, R] | None = None,
        **rules: Unpack[ToolRules],
    ) -> None:
        """Read the function's signature and docstring.

        Args:
            function: the function, synchronous (then it is called in a thread) or not. These
                parameters are not shown to the model: one annotated with
                :class:`~kern.run.base.RunContext`, which gets the context of the call; one of a
                type such as ``list[Image]`` (:mod:`kern.media`), which gets the run's images; and
                those named ``agent``, ``team``, ``run_context``, ``fc``, ``session_state``,
                ``dependencies``, ``images``, ``videos``, ``audios`` and ``files``, unless their
                annotation is one of JSON values.
            name: what the model calls; by default the function's name.
            description: what it is for; by default what the docstring says.
            strict: see :class:`ToolSchema`.
            parameters: the arguments as a JSON Schema; by default what the signature says.
            entrypoint: the function, by the name that others have for it.
            **rules: see :class:`~kern.tools.rules.ToolRules`.

        Raises:
            ConfigurationError: it cannot be a tool, and why.
            TypeError: there is no such rule; the text names the nearest one.
        """
        from kern.tools.signature import Signature

        given: object = function if entrypoint is None else entrypoint
        if not callable(given):
            hint = " Give the function itself, without calling it: Agent(tools=[search])."
            if isinstance(given, dict):
                hint = " A tool of the provider is given to the agent: Agent(tools=[{...}])."
            elif callable(getattr(given, "as_tool", None)):
                hint = " An agent is given as agent.as_tool(): Agent(tools=[researcher.as_tool()])."
            kind = type(given).__name__
            raise ConfigurationError(f"A tool must be a function, not {kind}.{hint}")
        if isinstance(given, type) and issubclass(given, Tool | Toolset):
            raise ConfigurationError(f"A tool must be an object, not {shown(given)}.")
        self.function = cast("Callable[P, R]", given)
        name = name or name_of(self.function)
        self._signature = Signature(name, self.function, parameters)
        super().__init__(
            ToolSchema(
                name,
                description or self._signature.description or name,
                self._signature.parameters,
                strict,
            ),
            **{**getattr(given, MARK, {}), **rules},
        )
        if self.requires_user_input is True:
            self.schema = replace(self.schema, parameters=self._without_asked())
        hooks = [each for each in (self.before, self.after, *self.around) if each is not None]
        self.asks_for: frozenset[str] = self._signature.asks_for.union(
            *(each.names for each in hooks)
        )

    def _without_asked(self) -> dict[str, object]:
        """Return the arguments that the model gives: a person gives the others.

        Raises:
            ConfigurationError: there is no such argument.
        """
        properties = self.call_properties
        asked = self.user_input_fields or [*properties]
        if wrong := next((each for each in asked if each not in properties), None):
            known = nearest(str(wrong), [*properties])
            raise ConfigurationError(
                f"user_input_fields of the tool {self.name}: it has no argument {wrong!r}. {known}"
            )
        required = self.call_schema.get("required")
        own = {name: each for name, each in properties.items() if name not in asked}
        needed = [each for each in required if each in own] if isinstance(required, list) else []
        schema = {**self.call_schema, "properties": own, "required": needed}
        return schema

    @classmethod
    def from_callable(cls, c: Callable[P, R], name: str | None = None) -> Self:
        """Return the tool of a function; the same as ``Function(c, name=name)``."""
        return cls(c, name=name)

    @property
    def entrypoint(self) -> Callable[P, R]:
        """The function itself, to be called with the arguments by name."""
        return self.function

    @property
    def description(self) -> str:
        """What it is for."""
        return self.schema.description

    @property
    def parameters(self) -> dict[str, object]:
        """The arguments, as a JSON Schema of an object."""
        return self.schema.parameters

    @property
    @override
    def call_schema(self) -> dict[str, object]:
        return self._signature.parameters

    @property
    def strict(self) -> bool | None:
        """Whether the provider is to hold the model to the parameters."""
        return self.schema.strict

    def to_dict(self) -> dict[str, object]:
        """Return what describes the tool, as JSON values."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict,
            "requires_confirmation": bool(self.requires_confirmation),
            "requires_user_input": bool(self.requires_user_input),
            "external_execution": bool(self.external_execution),
            "approval_type": self.approval_type,
        }

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
            **cast("ToolRules", self.rules),
        )

    @property
    def lacks_instance(self) -> bool:
        """Whether it is a method that was looked up on its class, and not on an object."""
        return "self" in inspect.signature(self.function).parameters

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the function and its hooks are at the level of a module."""
        hooks = [
            each
            for each in (self.before, self.after, self.condition, *self.around)
            if each is not None
        ]
        return is_portable(self.function) and all(is_portable(each.function) for each in hooks)

    @override
    def unfit(self, arguments: str) -> str | None:
        from kern.tools.arguments import UnfitError

        try:
            if self.requires_user_input:  # What is missing, or wrong, a person will give.
                super().read(or_none(arguments))
                return None
            self.read(or_none(arguments))
        except UnfitError as error:
            return self.told(error)
        except BaseException:  # Raised by the types of a user's; the call will tell of it.
            return None
        return None

    @override
    def read(self, arguments: str) -> dict[str, Any]:
        return self._signature.check(arguments)

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
            values = self.read(arguments)
        except UnfitError as error:
            return ToolResult(self.told(error), is_error=True)
        call = self.bound(values, context)
        if self.is_async:
            return await as_result(call(), context)

        def work() -> object:
            returned = call()
            if inspect.isawaitable(returned) or isinstance(returned, AsyncIterable):
                return returned
            return told(returned, context)

        limit.reschedule(None)
        returned = await call_in_thread(work, partial(self.begin, limit))
        return returned if isinstance(returned, ToolResult) else await as_result(returned, context)

    @cached_property
    def is_async(self) -> bool:
        """Whether a call of the function returns at once, with something asynchronous."""
        definition = inspect.unwrap(self.function)
        return inspect.iscoroutinefunction(definition) or inspect.isasyncgenfunction(definition)

    def bound(
        self, values: dict[str, Any], context: RunContext, more: Mapping[str, object] = _NOTHING
    ) -> Callable[[], object]:
        """Return the function with its arguments.

        Args:
            values: those that a model wrote.
            context: of the call, for those that kern gives.
            more: what kern gives beside that.
        """
        function: Callable[..., Any] = self.function
        return partial(function, **values, **self._signature.given(context, more))


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    **rules: Unpack[ToolRules],
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


@explained
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    **rules: Unpack[ToolRules],
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a function a tool; an agent takes plain functions as they are, too.

    Args:
        function: the function, where this is used as ``@tool`` without arguments.
        name: what the model calls; by default the function's name.
        description: what it is for; by default what the docstring says.
        strict: have the provider hold the model to the parameters, where it can (OpenAI, Claude);
            kern looks at the arguments anyway, and tells the model what does not fit.
        **rules: see :class:`~kern.tools.rules.ToolRules`: ``on_interrupt``, ``timeout``,
            ``requires_confirmation``, ``sequential``, ``call_limit``, ``show_result``,
            ``stop_after_tool_call``, ``cache_results``, ``pre_hook``, ``post_hook``,
            ``tool_hooks``, ``instructions`` and so on.

    Returns:
        The tool; code calls it like the function.

    Raises:
        ConfigurationError: the function cannot be a tool, and why.
        TypeError: there is no such keyword; the text names the nearest one.

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
    checked("tool", rules)

    def make(function: Callable[P, R]) -> FunctionTool[P, R]:
        return FunctionTool(function, name=name, description=description, strict=strict, **rules)

    return make if function is None else make(function)


Function = FunctionTool
"""The same under the name by which many know it."""
