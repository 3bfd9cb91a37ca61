"""Tools that belong together: the methods of an object, say, with what a model is told of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, cast

from kern.binder import called, name_of
from kern.errors import ConfigurationError
from kern.keywords import Recorded, changed, nearest
from kern.run.numbers import check_seconds
from kern.tools.base import Tool
from kern.tools.function import FunctionTool
from kern.tools.rules import UserFunction, check_one_wait


class Toolkit(Recorded):
    """Tools that belong together. A subclass passes its methods.

    A toolkit that overrides :meth:`connect` or :meth:`close` is connected while runs use it: before
    the first of them begins, until the last has ended.

    Attributes:
        name: what people call it.
        functions: its tools, by their names.
        instructions: what the model is told of them in its system message.
        add_instructions: whether it is told so.

    Example:
        >>> class Shop(Toolkit):
        ...     def __init__(self, **rules):
        ...         super().__init__("shop", tools=[self.price], **rules)
        ...
        ...     def price(self, article: str) -> str:
        ...         '''Tell the price of an article.'''
        ...         return f"{article} costs 5 euros."
        >>> [*Shop(tool_name_prefix="shop").functions]
        ['shop_price']
    """

    def __init__(
        self,
        name: str = "toolkit",
        tools: Sequence[Tool | Callable[..., object]] | None = None,
        async_tools: Sequence[Any] | None = None,
        instructions: str | None = None,
        add_instructions: bool = False,
        include_tools: Sequence[str] | None = None,
        exclude_tools: Sequence[str] | None = None,
        requires_confirmation_tools: Sequence[str] | None = None,
        external_execution_required_tools: Sequence[str] | None = None,
        stop_after_tool_call_tools: Sequence[str] | None = None,
        show_result_tools: Sequence[str] | None = None,
        cache_results: bool = False,
        cache_ttl: float = 3600,
        cache_dir: str | Path | None = None,
        timeout: float | None = None,
        auto_register: bool = True,
        tool_name_prefix: str | None = None,
    ) -> None:
        """Read the tools.

        Args:
            name: what people call it.
            tools: functions, methods and tools.
            async_tools: asynchronous ones, each alone or as ``(function, name)``; one takes the
                place of the tool of its name.
            instructions: what the model is told of them in its system message.
            add_instructions: whether it is told so.
            include_tools: only the tools of these names.
            exclude_tools: all but those of these names.
            requires_confirmation_tools: those whose calls a person has to confirm.
            external_execution_required_tools: those whose calls are made elsewhere.
            stop_after_tool_call_tools: those whose result ends the run.
            show_result_tools: those whose result is a part of the answer.
            cache_results: whether results are kept on this machine.
            cache_ttl: for how many seconds they are of use.
            cache_dir: where they are.
            timeout: seconds that a call of a tool may take that says nothing else.
            auto_register: whether the tools are there at once; else :meth:`register` adds them.
            tool_name_prefix: what the name of each tool begins with, before an underscore.

        Raises:
            ConfigurationError: a tool cannot be used, two have one name, or there is no such tool.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.name = name
        self.tools: list[Tool | Callable[..., object]] = [*(tools or ())]
        self.async_tools: list[Any] = [*(async_tools or ())]
        self.instructions = instructions
        self.add_instructions = add_instructions
        self.tool_name_prefix = tool_name_prefix
        self.functions: dict[str, Tool] = {}
        self._known = set[str]()
        self._include = include_tools
        self._exclude = exclude_tools or ()
        self._flags: Mapping[str, Sequence[str]] = {
            "requires_confirmation": requires_confirmation_tools or (),
            "external_execution": external_execution_required_tools or (),
            "stop_after_tool_call": stop_after_tool_call_tools or (),
            "show_result": [*(show_result_tools or ()), *(stop_after_tool_call_tools or ())],
        }
        self._rules = {"cache_results": True, "cache_ttl": cache_ttl, "cache_dir": cache_dir}
        self._is_cached = cache_results
        self._timeout = timeout
        self._users = 0
        self._changing: asyncio.Lock | None = None
        if auto_register:
            self._register_all()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, functions={[*self.functions]})"

    def get_functions(self) -> dict[str, Tool]:
        """Return its tools, by their names."""
        return self.functions

    def register(self, function: Tool | Callable[..., object], name: str | None = None) -> None:
        """Add a tool, unless it is excluded.

        Args:
            function: a function, a method or a tool.
            name: what the model calls; by default the name in the code.

        Raises:
            ConfigurationError: it cannot be a tool, or there is one of its name.
        """
        self._register(function, name)
        changed(self)

    def check_names(self) -> None:
        """Check that the names for which it was given rules are those of its tools.

        Raises:
            ConfigurationError: there is no such tool.
        """
        flagged = [name for names in self._flags.values() for name in names]
        for name in (*(self._include or ()), *self._exclude, *flagged):
            if name not in self._known:
                known = nearest(name, sorted(self._known))
                raise ConfigurationError(f"The toolkit {self.name} has no tool {name!r}. {known}")

    def connect(self) -> object:
        """Connect to what the tools need; a subclass may override it, also as a coroutine."""
        return None

    def close(self) -> object:
        """Release what :meth:`connect` has taken."""
        return None

    @property
    def is_connectable(self) -> bool:
        """Whether it has to be connected before its tools are called."""
        cls = type(self)
        return cls.connect is not Toolkit.connect or cls.close is not Toolkit.close

    async def acquire(self) -> None:
        """Be connected for a run, if it is not.

        Raises:
            Exception: what :meth:`connect` raises.
        """
        self._changing = self._changing or asyncio.Lock()
        async with self._changing:
            if not self._users:
                await called(self.connect, self.connect)
            self._users += 1

    async def release(self) -> None:
        """Close, if no other run uses it.

        Raises:
            Exception: what :meth:`close` raises.
        """
        assert self._changing is not None, "it was acquired"
        async with self._changing:
            self._users -= 1
            if not self._users:
                await called(self.close, self.close)

    def _register_all(self) -> None:
        for each in self.tools:
            self._register(each)
        for each in self.async_tools:
            function, name = each if isinstance(each, tuple) else (each, None)
            self._register(function, name, replaces=True)
        if self._known:  # Else a subclass registers them next.
            self.check_names()

    def _register(
        self,
        function: Tool | Callable[..., object],
        name: str | None = None,
        *,
        replaces: bool = False,
    ) -> None:
        own = name or _name(function)
        self._known.add(own)
        if (self._include is not None and own not in self._include) or own in self._exclude:
            return
        told = f"{self.tool_name_prefix}_{own}" if self.tool_name_prefix else own
        if told in self.functions and not replaces:
            raise ConfigurationError(
                f"The toolkit {self.name} has two tools of the name {told!r}; "
                "register(function, name=...) gives one of them another."
            )
        if isinstance(function, Tool):
            tool = copy(function).renamed(told) if told != function.name else copy(function)
        else:
            tool = FunctionTool(function, name=told)
        self.functions[told] = self._ruled(tool, own)

    def _ruled(self, tool: Tool, own: str) -> Tool:
        """Return a tool with the rules that the toolkit gives to its name."""
        for flag, names in self._flags.items():
            if own in names:
                setattr(tool, flag, True)
        check_one_wait(vars(tool))
        if self._is_cached:
            for rule, value in self._rules.items():
                setattr(tool, rule, value)
        if tool.timeout is None:
            tool.timeout = self._timeout
        return tool


def _name(function: object) -> str:
    return function.name if isinstance(function, Tool) else name_of(cast("UserFunction", function))
