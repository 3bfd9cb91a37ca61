"""What an agent tells its model beyond a text that is always the same, and whom it asks for it."""

import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from inspect import isfunction, isroutine, unwrap
from typing import Any

from kern.binder import Binder, Known
from kern.errors import ConfigurationError
from kern.execution.context import ContextParts, Told, has_names, json_values
from kern.execution.retrieval import Retriever
from kern.run.base import RUN_VALUES, RunContext
from kern.run.message import Message

logger = logging.getLogger("kern")

INSTRUCTIONS, SYSTEM_MESSAGE, LOCATION = "instructions", "system_message", "location"

KNOWN: Known = {**RUN_VALUES, "run_input": None, "session": None}
"""What functions of an agent's context, and of its dependencies, may ask for."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What an agent tells its model beyond a text that is always the same.

    Attributes:
        parts: what does not depend on the run.
        functions: those that return a part, by the part's name.
        providers: those that return a dependency, by its name.
        retriever: where the agent looks things up.
        history_runs: how many earlier runs of the session a run is shown that asks for them.
        history_messages: how many of their messages at most, or None for any number.
        history_calls: how many of their tool calls at most, or None for any number.
        stores_history: whether the history is part of the run's output.
        varies: whether the model may be told something else at another time.
    """

    parts: ContextParts = field(default_factory=ContextParts)
    functions: Mapping[str, Binder] = field(default_factory=dict)
    providers: Mapping[str, Binder] = field(default_factory=dict)
    retriever: Retriever | None = None
    history_runs: int = 3
    history_messages: int | None = None
    history_calls: int | None = None
    stores_history: bool = False
    varies: bool = field(init=False)

    def __post_init__(self) -> None:
        parts, retriever = self.parts, self.retriever
        names = parts.fills_names and any(map(has_names, _texts(parts)))
        told = parts.tells_time, parts.tells_state, parts.tells_summary, parts.tells_dependencies
        found = retriever is not None and retriever.adds_found
        object.__setattr__(self, "varies", bool(self.functions or names or found or any(told)))

    @property
    def is_portable(self) -> bool:
        """Whether its functions are at the level of a module, so they hold nothing of a caller."""
        searched = () if self.retriever is None else (self.retriever.function,)
        return all(map(_is_of_module, (*self.functions.values(), *searched)))

    @classmethod
    def of_text(cls, text: str | None) -> "Telling":
        """Return how an agent tells its model a text that is always the same."""
        return cls(ContextParts(instructions=text, fills_names=False))

    def with_options(self, options: Mapping[str, object]) -> "Telling":
        """Return how a run tells its model, that was given options of its own."""
        changed = {part: bool(options[name]) for name, part in _OPTIONS.items() if name in options}
        return replace(self, parts=replace(self.parts, **changed)) if changed else self


_OPTIONS = {
    "add_dependencies_to_context": "tells_dependencies",
    "add_session_state_to_context": "tells_state",
}

ADD_HISTORY = "add_history_to_context"

RUN_OPTIONS = frozenset({*_OPTIONS, ADD_HISTORY})
"""The options of a run that change what its model is told."""


def _is_of_module(binder: Binder) -> bool:
    function = unwrap(binder.function)
    return (
        isfunction(function) and function.__closure__ is None and "." not in function.__qualname__
    )


def _texts(parts: ContextParts) -> Iterator[str]:
    """Yield the texts of a system message in which names are filled."""
    given = parts.system_message
    if given is not None:
        yield given if isinstance(given, str) else given.text
        return
    instructions = parts.instructions or ()
    yield from (instructions,) if isinstance(instructions, str) else instructions
    yield from (each for each in (parts.description, parts.role, parts.name) if each)
    yield from (each for each in (parts.location, parts.time_format) if each)


def called_for_each_run(value: object) -> bool:
    """Say whether a dependency is a function that returns the value.

    Classes, and objects that can be called, are values: they may be what a tool needs.
    """
    return isroutine(value) or isinstance(value, partial)


def provider(name: str, value: object) -> Binder | None:
    """Return what calls a dependency that is a function; None where it is a value.

    Args:
        name: the dependency's name.
        value: what it was given as. A function that needs what kern has not is a value for tools.
    """
    if not called_for_each_run(value):
        return None
    assert callable(value)
    try:
        return Binder(value, KNOWN, what=f"The dependency {name!r}")
    except ConfigurationError as error:
        logger.warning("%s It is given to tools and hooks as it is.", error)
        return None


async def gathered(
    telling: Telling,
    values: Mapping[str, object],
    context: RunContext,
    *,
    has_form: bool = False,
    summary: str | None = None,
    tool_instructions: Sequence[str] = (),
) -> Told:
    """Return what is known of a run, for its system message.

    Args:
        telling: what the agent tells.
        values: what its functions ask for.
        context: of the run.
        has_form: whether the answer has a form.
        summary: of the session.
        tool_instructions: what toolkits and tools say of their use.

    Raises:
        ConfigurationError: a function returned what cannot be told.
        Exception: what a function raised.
    """
    returned: dict[str, Any] = {
        name: _checked(name, binder, await binder.call(values))
        for name, binder in telling.functions.items()
    }
    return Told(
        instructions=returned.get(INSTRUCTIONS),
        system_message=returned.get(SYSTEM_MESSAGE),
        location=returned.get(LOCATION),
        names=ChainMap(
            context.session_state or {},
            {**context.dependencies},
            {**(context.metadata or {})},
            {} if context.user_id is None else {"user_id": context.user_id},
        ),
        state=context.session_state,
        summary=summary,
        tool_instructions=tool_instructions,
        now=datetime.now(UTC).astimezone(),
        has_form=has_form,
    )


def _checked(name: str, function: Binder, returned: object) -> object:
    """Return what a function returned for a part, if it can be told.

    Raises:
        ConfigurationError: it cannot.
    """
    if returned is None or isinstance(returned, str):
        return returned
    if name == SYSTEM_MESSAGE and isinstance(returned, Message):
        return returned
    if (
        name == INSTRUCTIONS
        and isinstance(returned, list | tuple)
        and all(isinstance(each, str) for each in returned)
    ):
        return returned
    also = {INSTRUCTIONS: " or a list of texts", SYSTEM_MESSAGE: " or a Message"}.get(name, "")
    called = getattr(function.function, "__name__", type(function.function).__name__)
    raise ConfigurationError(
        f"The function {called} for {name} returned {type(returned).__name__}; return a text{also}."
    )


def shown_dependencies(dependencies: Mapping[str, object]) -> dict[str, object]:
    """Return what of the dependencies a model is told: functions are for tools."""
    return {
        name: json_values(value)
        for name, value in dependencies.items()
        if not called_for_each_run(value)
    }
