"""Public functions that say which keyword was meant, where one is wrong."""

from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import wraps
from inspect import CO_VARKEYWORDS, Parameter, Signature, iscoroutinefunction
from types import FunctionType
from typing import ClassVar, ParamSpec, TypeVar, cast, get_args, get_origin

from typing_extensions import Unpack

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class", bound=type)

LATER = frozenset(
    (
        *("learning", "add_learnings_to_context"),
        "offload_tool_results",
        *("culture_manager", "add_culture_to_context"),
        *("update_cultural_knowledge", "enable_agentic_culture"),
        *("filesystem", "media_storage", "sandbox", "team_id", "workflow_id"),
        *("delegate_to_all_members", "delegate_task_to_all_members"),
        *("get_member_information_tool", "stream_member_events", "store_member_responses"),
        *("read_team_history", "send_team_history"),
    )
)
"""Keywords that users know from elsewhere, and that kern does not have yet."""

_OTHER_NAMES = {
    "add_context": "add_dependencies_to_context",
    "add_datetime_to_instructions": "add_datetime_to_context",
    "add_history_to_messages": "add_history_to_context",
    "add_references": "add_knowledge_to_context",
    "agent_id": "id",
    "context": "dependencies",
    "database": "db",
    "host": "base_url",
    "message": "input",
    "model": "id",
    "num_history_responses": "num_history_runs",
    "prompt": "input",
    "response_model": "output_schema",
    "retriever": "knowledge_retriever",
    "storage": "db",
    "stream_intermediate_steps": "stream_events",
    "system_prompt": "system_message",
    "table_name": "session_table",
}
"""What users call a keyword that has another name, and whose name is nearer to a third one."""

_MAX_RECITED = 30
"""How many keywords an error lists."""


def explained(function: Callable[P, R], name: str | None = None) -> Callable[P, R]:
    """Return the function, which names itself and the nearest keyword where one is wrong.

    Args:
        function: a function, or a method; what it takes with ``**`` is a TypedDict's.
        name: what users call it; by default the name in the code, or the class of a constructor.
    """
    made = cast(FunctionType, function)
    code = made.__code__
    unpacked = _unpacked(function) if code.co_flags & CO_VARKEYWORDS else {}
    if unpacked is None:
        return function
    name = name or made.__qualname__.removesuffix(".__init__")
    made.__qualname__ = name  # What Python says of a missing argument, it says of this name.
    known = (*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *unpacked)
    named = frozenset(known[code.co_posonlyargcount :]) - {"self"}

    def check(given: Collection[str]) -> None:
        if not named.issuperset(given):
            wrong = next(each for each in given if each not in named)
            raise TypeError(explanation(name, wrong, [each for each in known if each in named]))

    if iscoroutinefunction(function):

        @wraps(function)
        async def call_later(*args: P.args, **kwargs: P.kwargs) -> object:
            check(kwargs)
            return await function(*args, **kwargs)

        return cast(Callable[P, R], spelled(call_later, unpacked))

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        check(kwargs)
        return function(*args, **kwargs)

    return spelled(call, unpacked)


def spelled(
    function: Callable[P, R],
    options: Mapping[str, object],
    default: Callable[[str], object] = lambda _: None,
) -> Callable[P, R]:
    """Have the signature of a function show each keyword that it takes with ``**``.

    Args:
        function: the function.
        options: the keywords, each with its type.
        default: returns the default of one.
    """
    if options:
        signature = Signature.from_callable(function)
        named = [each for each in signature.parameters.values() if each.kind != each.VAR_KEYWORD]
        more = [
            Parameter(each, Parameter.KEYWORD_ONLY, default=default(each), annotation=kind)
            for each, kind in options.items()
        ]
        shown = signature.replace(parameters=[*named, *more])
        cast(FunctionType, function).__signature__ = shown  # type: ignore[attr-defined] # PEP 362
    return function


def _unpacked(function: Callable[..., object]) -> dict[str, object] | None:
    """Return the keywords of the TypedDict that a function takes with ``**``, or None."""
    unpack: object = Unpack
    for kind in function.__annotations__.values():
        if get_origin(kind) is unpack:
            keywords: dict[str, object] = get_args(kind)[0].__annotations__
            return keywords
    return None


def public(cls: Class) -> Class:
    """Have the constructor and all public methods of a class explain wrong keywords."""
    for name, method in _methods(cls):
        setattr(cls, name, explained(method, f"{cls.__name__}.{name}".removesuffix(".__init__")))
    return cls


def nearest(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that is not known: which one may be meant, or which there are.

    Args:
        name: the name.
        known: those that there are.
    """
    part_of = [each for each in known if name in each.split("_")]
    if close := get_close_matches(name, known, n=1) or part_of:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(known) or 'none'}."


def shown(value: object, otherwise: str | None = None) -> str:
    """Return how an error shows what was given; a class is told from an object of it.

    Args:
        value: what was given.
        otherwise: how to show what is no class; by default as it is written, cut.

    Example:
        >>> shown(dict), shown("a dict")
        ('the class dict; write dict(...)', "'a dict'")
    """
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    return f"{value!r:.80}" if otherwise is None else otherwise


def explanation(function: str, wrong: str, known: Collection[str]) -> str:
    """Return what to say of a wrong keyword.

    Args:
        function: what was called, or the class.
        wrong: the keyword.
        known: those that there are.
    """
    if wrong in LATER:
        told = later(wrong)
    elif (meant := _OTHER_NAMES.get(wrong)) in known:
        told = f"Did you mean {meant!r}?"
    else:
        told = nearest(wrong, known)
        if len(known) > _MAX_RECITED and told.startswith("There are"):
            told = f"help({function}) lists the keywords."
    return f"{function}() got an unexpected keyword argument {wrong!r}. {told}"


def later(name: str) -> str:
    """Return what to say of a keyword that kern does not have yet."""
    page = "docs/guides/coming-from-agno.md"
    return f"kern does not have {name} yet: {page} says what there is instead."


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., object]]]:
    members: dict[str, object] = {}
    for each in reversed(cls.__mro__):
        members.update(vars(each))
    for name, method in members.items():
        is_public = name == "__init__" or not name.startswith("_")
        # One that is wrapped is explained by a class that this one inherits.
        if isinstance(method, FunctionType) and is_public and not hasattr(method, "__wrapped__"):
            yield name, method


class Recorded:
    """Remembers what its constructor was given, so that another can be made like it.

    Attributes:
        uses_files: whether a model may have files of this machine read or written by it, so that
            only a program makes one, and no row of a database.

    Example:
        >>> class Lamp(Recorded):
        ...     def __init__(self, watts, *, colour="white"):
        ...         self.power = watts
        >>> arguments_of(Lamp(5, colour="red"))
        {'watts': 5, 'colour': 'red'}
    """

    uses_files: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        made = vars(cls).get("__init__")
        if isinstance(made, FunctionType):
            setattr(cls, "__init__", _recording(made))  # noqa: B010 # it is no method of ours


def arguments_of(made: Recorded) -> dict[str, object] | None:
    """Return what the constructor of an object was given, by name; None where nobody knows.

    What it was given by place alone is named with a star.

    Args:
        made: the object.
    """
    kept: tuple[tuple[object, ...], dict[str, object]] | None = vars(made).get(_KEPT)
    if kept is None:
        return {} if type(made).__init__ is object.__init__ else None
    signature = Signature.from_callable(type(made))
    args, keywords = kept
    found: dict[str, object] = {}
    for name, value in signature.bind(*args, **keywords).arguments.items():
        kind = signature.parameters[name].kind
        if kind is Parameter.VAR_KEYWORD:
            found.update(value)
        else:
            by_place = kind in (Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY)
            found[f"*{name}" if by_place else name] = value
    return found


def takes(cls: type, name: str) -> bool:
    """Say whether the constructor of a class takes a keyword."""
    parameters = Signature.from_callable(cls).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def is_fixed(made: Recorded, name: str) -> bool:
    """Say whether an attribute is a keyword of the constructor alone: to set it changes nothing.

    Args:
        made: an object of a class of kern's; users' own set what they like.
        name: the attribute.
    """
    cls = type(made)
    if _KEPT not in vars(made) or hasattr(made, name) or not cls.__module__.startswith("kern."):
        return False
    constructor = cast(FunctionType, vars(cls).get("__init__", cls.__init__))
    parameters = Signature.from_callable(constructor).parameters
    return name in parameters or name in (_unpacked(constructor) or ())


def changed(made: Recorded) -> None:
    """Note that an object is other by now than what its constructor was given says."""
    vars(made).pop(_KEPT, None)


_KEPT = "_made_with"


def _recording(constructor: FunctionType) -> Callable[..., None]:
    """Return a constructor that notes what it was given; the outermost one ends last."""

    @wraps(constructor)
    def construct(self: Recorded, *args: object, **keywords: object) -> None:
        constructor(self, *args, **keywords)
        vars(self)[_KEPT] = args, keywords

    return construct
