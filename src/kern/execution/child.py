"""A run that a tool call of another run is: the port to what carries it out."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

import msgspec

from kern.execution.journal import Emit
from kern.execution.spec import Definition
from kern.run.agent import RunOutput
from kern.run.record import NewRun
from kern.run.requirement import RunRequirement
from kern.tools import Tool

SHARES_STATE = "shares_state"
"""The option of a run whose session's state is its parent's to write."""

DELEGATE = "delegate_task_to_member"
"""The tool with which the leader of a team gives a member a task."""

DEPTH = "depth"
"""The option of a run that says how many runs it is within, each the child of the one before."""

UNASKED = "unasked"
"""The option of a run that nobody has asked for: how many such runs there were in a row."""


class Child(msgspec.Struct, frozen=True):
    """A run that a tool call is.

    Attributes:
        definition: the agent that runs.
        run: the run, as it begins where it has not begun yet.
        foreground: whether it belongs to a caller who waits, as its parent does.
        may_exist: whether an earlier attempt at the call may have begun it.
        answers: what a person has decided of what it has paused for.
        by: who has, where that is known.
        emit: is given its events, where somebody streams its parent here.
    """

    definition: Definition
    run: NewRun
    foreground: bool
    may_exist: bool
    answers: Sequence[RunRequirement]
    by: str | None
    emit: Emit | None


class Children(Protocol):
    """Carries out the children of runs."""

    async def carry(self, child: Child) -> RunOutput:
        """Return a child as it has ended or paused; it is begun once, however often this is asked.

        Raises:
            DatabaseError: it could not be accepted, or its end not stored.
        """

    async def start(self, child: Child, parent: Definition) -> RunOutput:
        """Have a child begin in the background, once, and return it as it stands.

        Args:
            child: the child.
            parent: the agent that is told of its end.

        Raises:
            QueueFullError: too many runs of its agent wait.
            DatabaseError: it could not be accepted.
        """

    async def wait(self, run_id: str, seconds: float) -> None:
        """Wait until a run has ended or paused, but no longer than so many seconds."""

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run; say whether it ends for this."""


class SubAgentTool(Tool):
    """A tool whose calls are runs of other agents.

    Attributes:
        definitions: those agents.
        leads: whether they are the members of a team that the agent with the tool leads.
    """

    definitions: Sequence[Definition]
    leads: ClassVar[bool] = False


class BackgroundTool(SubAgentTool):
    """One whose calls do not wait for the runs that they begin."""


def may_nest(definition: Definition) -> bool:
    """Say whether tool calls of an agent may be runs of others."""
    rules = definition.call_rules
    return (
        definition.is_team
        or (rules is not None and rules.factory is not None)
        or any(isinstance(each, SubAgentTool) for each in definition.tools.values())
    )


def members_among(tools: Iterable[Tool]) -> list[Definition] | None:
    """Return the members of the team that an agent with these tools leads; None for no team."""
    for each in tools:
        if isinstance(each, SubAgentTool) and each.leads:
            return [*each.definitions]
    return None


def with_sub_agents(definition: Definition) -> list[Definition]:
    """Return an agent, and those whose runs calls of its tools are, theirs included."""
    found = {id(definition): definition}
    open_ones = [definition]
    while open_ones:
        for tool in open_ones.pop().tools.values():
            for each in tool.definitions if isinstance(tool, SubAgentTool) else ():
                if id(each) not in found:
                    found[id(each)] = each
                    open_ones.append(each)
    return [*found.values()]
