"""The overrides of a run, held against its agent when the run is asked for."""

import msgspec

from kern.agent.checks import check_tool_choice
from kern.agent.definition import AnyAgent
from kern.errors import ConfigurationError, InvalidInputError
from kern.run.overrides import Overrides, check_names


def stored(agent: AnyAgent, given: object) -> dict[str, object]:
    """Return overrides as the JSON values that a stored input holds.

    Args:
        agent: whose run it is.
        given: what should be overrides.

    Raises:
        InvalidInputError: they are something else, a tool has the name of one of the agent's, or
            there is no tool of the name that has to be called.
    """
    if not isinstance(given, Overrides):
        raise InvalidInputError(f"overrides must be Overrides(...), not {given!r:.50}.")
    own = {*agent.tools, *(each.name for each in agent.session_tools)}
    clients = [each.name for each in given.tools]
    check_names(clients, own)
    known = None if _has_later_tools(agent) else {*own, *clients}
    try:
        choice = check_tool_choice(given.tool_choice, known)
    except ConfigurationError as error:
        raise InvalidInputError(str(error)) from None
    instructions = given.instructions
    if agent.hooks is not None:  # What it masks is nowhere at rest.
        instructions = agent.hooks.at_submit(instructions)
    given = msgspec.structs.replace(given, instructions=instructions, tool_choice=choice)
    values: dict[str, object] = msgspec.to_builtins(given)
    return values


def _has_later_tools(agent: AnyAgent) -> bool:
    """Say whether an agent has tools whose names are known only once a run executes."""
    calls, told = agent.call_rules, agent.context_rules
    return (
        bool(agent.toolsets)
        or (calls is not None and (calls.is_late or bool(calls.provided)))
        or (told is not None and told.retriever is not None)
    )
