"""Calls a user's function with what its parameters ask for, by their names or their annotations.

Every place that takes functions (hooks, tools, instructions, dependencies, retrievers) says which
values it knows. A function that asks for another one is refused when it is given, and what no
function asks for is never made.
"""

import inspect
from collections.abc import Callable, Mapping, Set
from functools import partial
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from kern.aio.threads import call_in_thread
from kern.errors import ConfigurationError
from kern.keywords import nearest

Known: TypeAlias = Mapping[str, type | str | None]
"""The values of a place by their names, each with its class, or the class's name where it is not
to be imported; None for a value that is asked for by its name alone."""


class Binder:
    """A function, and which of the values that are known where it is called it asks for.

    Attributes:
        function: the function.
        names: the names of the values that it asks for; all that are known where it takes ``**``.

    Example:
        >>> def check(run_input, debug_mode=False, limit=10):
        ...     return f"{run_input} {debug_mode} {limit}"
        >>> known = {"run_input": None, "debug_mode": None, "agent": None}
        >>> binder = Binder(check, known, what="The pre-hook check")
        >>> sorted(binder.names)
        ['debug_mode', 'run_input']
        >>> binder.bound({"run_input": "Hello", "debug_mode": True, "agent": "not asked for"})()
        'Hello True 10'
    """

    def __init__(self, function: Callable[..., Any], known: Known, *, what: str) -> None:
        """Read the function's signature.

        Args:
            function: a function, a method, or another object that can be called.
            known: the values that there are.
            what: what the function is and its name, for errors, as in ``"The pre-hook check"``.

        Raises:
            ConfigurationError: it cannot be called, or asks for a value that there is not.
        """
        self.function = function
        self._positional: list[str] = []
        self._keywords: dict[str, str] = {}
        self._takes_all = False
        hints = hints_of(function)
        for each in parameters_of(function, what):
            if each.kind is each.VAR_POSITIONAL:
                continue
            if each.kind is each.VAR_KEYWORD:
                self._takes_all = True
            elif (name := value_for(each.name, hints.get(each.name), known)) is None:
                if each.default is each.empty:
                    raise ConfigurationError(
                        f"{what} has a parameter {each.name!r} that kern has no value for. "
                        f"{nearest(each.name, known)} A parameter with a default is left alone."
                    )
            elif each.kind is each.POSITIONAL_ONLY:
                self._positional.append(name)
            else:
                self._keywords[each.name] = name
        named = frozenset([*self._positional, *self._keywords.values()])
        self.names: frozenset[str] = frozenset(known) if self._takes_all else named

    def bound(self, values: Mapping[str, object]) -> Callable[[], Any]:
        """Return the function with the values that it asks for.

        Args:
            values: at least those in :attr:`names`; others are left out, unless it takes ``**``.
        """
        positional = [values[name] for name in self._positional]
        keywords = {parameter: values[name] for parameter, name in self._keywords.items()}
        if self._takes_all:
            taken = {*self._positional, *self._keywords.values(), *keywords}
            keywords |= {name: value for name, value in values.items() if name not in taken}
        return partial(self.function, *positional, **keywords)

    async def call(self, values: Mapping[str, object]) -> Any:
        """Call the function, and return what it returns.

        An asynchronous function is called in the event loop; any other is called in a thread, where
        it may block, and call ``agent.run(...)``. What is awaitable is awaited.

        Args:
            values: see :meth:`bound`.

        Raises:
            ThreadLimitError: no thread became free for a synchronous function.
            BaseException: what the function raises.
        """
        return await called(self.bound(values), self.function)


async def called(call: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return what a call of a user's function comes to, in the loop or in a thread.

    Args:
        call: makes it.
        function: what it calls, which says where.

    Raises:
        ThreadLimitError: no thread became free for a synchronous function.
        BaseException: what the function raises.
    """
    result = call() if is_async(function) else await call_in_thread(call)
    while inspect.isawaitable(result):
        result = await result
    return result


def is_async(function: Callable[..., object]) -> bool:
    """Say whether a call of a function returns at once, with something asynchronous."""
    function = definition_of(function)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def name_of(function: Callable[..., object]) -> str:
    """Return what a function is called in the code."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def is_portable(function: Callable[..., object]) -> bool:
    """Say whether a function is at the level of a module, so that it holds nothing of a caller."""
    function = inspect.unwrap(function)
    return (
        inspect.isfunction(function)
        and function.__closure__ is None
        and "." not in function.__qualname__
    )


def definition_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function in the code that an object of users calls in the end."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    call: Callable[..., Any] = type(function).__call__
    call = inspect.unwrap(call)
    return call


def parameters_of(function: Callable[..., Any], what: str) -> list[inspect.Parameter]:
    """Return the parameters with which a function is called.

    Args:
        function: the function.
        what: what it is and its name, for the error.

    Raises:
        ConfigurationError: it cannot be called, or does not say how.
    """
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{what}: its signature is unclear: {error}") from error


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function; as they are written where they cannot be read."""
    definition = definition_of(function)
    if inspect.isclass(definition):
        definition = definition.__init__
    try:
        return get_type_hints(definition, include_extras=True)
    except Exception:  # A name in them may exist for type checkers only.
        return dict(getattr(definition, "__annotations__", {}))


def value_for(name: str, hint: object, known: Known) -> str | None:
    """Return which of the known values a parameter asks for: by its annotation, else by its name.

    Args:
        name: the parameter's name.
        hint: its annotation, or None.
        known: the values that there are.
    """
    if not isinstance(hint, str) and _classes(hint).isdisjoint(known.values()):
        return name if name in known else None
    if name in known and is_meant(hint, known[name]):
        return name
    meant = next((value for value, kind in known.items() if is_meant(hint, kind)), None)
    return meant or (name if name in known else None)


def is_meant(hint: object, kind: type | str | None) -> bool:
    """Say whether an annotation such as ``RunContext[Shelf] | None`` means a class.

    Args:
        hint: the annotation; a text where it could not be read.
        kind: the class, or its name; None for one that no annotation means.
    """
    if kind is None:
        return False
    if isinstance(hint, str):
        name = kind if isinstance(kind, str) else kind.__name__
        return hint.split("[")[0].split("|")[0].strip().rpartition(".")[2] == name
    return kind in _classes(hint)


def _classes(hint: object) -> Set[type | str | None]:
    """Return the classes that an annotation means and those that they inherit, with their names."""
    origin = get_origin(hint)
    if origin in (Annotated, Union, UnionType):
        return {each for part in get_args(hint) for each in _classes(part)}
    found = origin or hint
    if not inspect.isclass(found):
        return frozenset()
    return {*found.__mro__, *[each.__name__ for each in found.__mro__]}
