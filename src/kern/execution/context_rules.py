"""What an agent tells its model beyond a text that is always the same, and whom it asks for it."""

import logging
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from inspect import isroutine
from typing import Any

from kern.binder import Binder, Known, is_portable, name_of
from kern.errors import ConfigurationError, described
from kern.execution.context import ContextParts, Told, system_message
from kern.execution.retriever import Retriever
from kern.execution.written import has_names, json_values
from kern.run.base import RUN_VALUES, RunContext
from kern.run.given import RunInput
from kern.run.message import Message
from kern.run.printable import in_log
from kern.run.state import without_current

logger = logging.getLogger("kern")

INSTRUCTIONS, SYSTEM_MESSAGE, LOCATION = "instructions", "system_message", "location"

KNOWN: Known = {**RUN_VALUES, "run_input": RunInput, "session": "AgentSession"}
"""What functions of an agent's context, and of its dependencies, may ask for."""


@dataclass(frozen=True, slots=True)
class ContextRules:
    """What an agent tells its model beyond a text that is always the same.

    Attributes:
        parts: what does not depend on the run.
        functions: those that return a part, by the part's name.
        providers: those that return a dependency, by its name; a function that kern cannot call is
            there as it is.
        retriever: where the agent looks things up.
        history_runs: how many earlier runs of the session a run is shown that asks for them.
        history_messages: how many of their messages at most, or None for any number.
        history_calls: how many of their tool calls at most, or None for any number.
        stores_history: whether the history is part of the run's output.
        varies: whether the model may be told something else at another time.
        constant: else the system message, of a run whose answer is a text and of one whose answer
            has a form.
    """

    parts: ContextParts = field(default_factory=ContextParts)
    functions: Mapping[str, Binder] = field(default_factory=dict)
    providers: Mapping[str, object] = field(default_factory=dict)
    retriever: Retriever | None = None
    history_runs: int = 3
    history_messages: int | None = None
    history_calls: int | None = None
    stores_history: bool = False
    varies: bool = field(init=False)
    constant: tuple[Message | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        parts, retriever = self.parts, self.retriever
        names = has_names_in(parts, {})
        told = (
            *(parts.tells_time, parts.tells_state, parts.tells_summary),
            *(parts.tells_dependencies, parts.tells_memories),
        )
        # The names of filters, of which the model is told, are as the knowledge base has them now.
        found = retriever is not None and (retriever.adds_found or retriever.tells_filters)
        varies = bool(self.functions or names or found or any(told))
        forms = () if varies else (False, True)
        constant = tuple(system_message(parts, Told(has_form=has_form)) for has_form in forms)
        object.__setattr__(self, "varies", varies)
        object.__setattr__(self, "constant", constant)

    @property
    def is_portable(self) -> bool:
        """Whether its functions are at the level of a module, so they hold nothing of a caller."""
        return all(is_portable(each.function) for each in self.functions.values()) and (
            self.retriever is None or self.retriever.is_portable
        )

    @classmethod
    def of_text(cls, text: str | None) -> "ContextRules":
        """Return how an agent tells its model a text that is always the same."""
        # One that has names is not to have them filled; else it would not be always the same.
        fills_names = text is None or not has_names(text)
        return cls(ContextParts(instructions=text, fills_names=fills_names))

    def with_options(self, options: Mapping[str, object]) -> "ContextRules":
        """Return how a run tells its model, that was given options of its own."""
        parts = replace(
            self.parts,
            tells_dependencies=bool(options.get(ADD_DEPENDENCIES, self.parts.tells_dependencies)),
            tells_state=bool(options.get(ADD_STATE, self.parts.tells_state)),
        )
        return self if parts == self.parts else replace(self, parts=parts)


ADD_DEPENDENCIES = "add_dependencies_to_context"
ADD_STATE = "add_session_state_to_context"
ADD_HISTORY = "add_history_to_context"

RUN_OPTIONS = frozenset({ADD_DEPENDENCIES, ADD_STATE, ADD_HISTORY})
"""The options of a run that change what its model is told."""


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


async def resolve(
    dependencies: dict[str, object],
    known: Mapping[str, object],
    values: Callable[[Binder], Awaitable[Mapping[str, object]]],
    whose: str,
) -> None:
    """Put what functions return in their place; one that fails stays, with a warning.

    Args:
        dependencies: the dependencies, of which some are functions.
        known: what calls those of the agent, by name; see :class:`ContextRules`.
        values: returns what a function asks for.
        whose: what they are called for, in the log.
    """
    for name, value in [*dependencies.items()]:
        binder = known.get(name)
        if binder is value:
            continue
        if not isinstance(binder, Binder) or binder.function is not value:
            binder = provider(name, value)
        if binder is not None:
            try:
                dependencies[name] = await binder.call(await values(binder))
            except Exception as error:
                told = in_log(described(error))
                logger.warning("%s has no dependency %r: %s", whose, name, told)


async def asked(functions: Mapping[str, Binder], values: Mapping[str, object]) -> dict[str, Any]:
    """Return what an agent's functions return, by the part that it is for.

    Args:
        functions: by the part.
        values: what they ask for.

    Raises:
        ConfigurationError: one returned what cannot be told.
        Exception: what one raised.
    """
    return {
        name: _checked(name, function, await function.call(values))
        for name, function in functions.items()
    }


def told_of(
    context: RunContext,
    returned: Mapping[str, Any],
    *,
    has_form: bool = False,
    summary: str | None = None,
    memories: Sequence[str] = (),
    tool_instructions: Sequence[str] = (),
) -> Told:
    """Return what is known of a run, for its system message.

    Args:
        context: of the run.
        returned: what the agent's functions returned.
        has_form: whether the answer has a form.
        summary: of the session.
        memories: of the user.
        tool_instructions: what toolkits and tools say of their use.
    """
    state, dependencies = context.session_state or {}, context.dependencies.items()
    return Told(
        instructions=returned.get(INSTRUCTIONS),
        system_message=returned.get(SYSTEM_MESSAGE),
        location=returned.get(LOCATION),
        names=ChainMap(
            state,
            {name: value for name, value in dependencies if not called_for_each_run(value)},
            {**(context.metadata or {})},
            {} if context.user_id is None else {"user_id": context.user_id},
        ),
        state=without_current(context.session_state or {}),
        summary=summary,
        tool_instructions=tool_instructions,
        now=datetime.now(UTC).astimezone(),
        has_form=has_form,
        memories=memories,
    )


def has_names_in(
    parts: ContextParts, returned: Mapping[str, Any], tool_instructions: Sequence[str] = ()
) -> bool:
    """Say whether there may be names to fill in a system message.

    Args:
        parts: what the agent says.
        returned: what its functions returned in the place of parts.
        tool_instructions: what toolkits and tools say of their use.
    """
    told = replace(parts, **{**returned}) if returned else parts
    return parts.fills_names and any(map(has_names, (*_texts(told), *tool_instructions)))


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
    called = name_of(function.function)
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
