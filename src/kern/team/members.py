"""The members of a team: who they are, and what their leader's model is told of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from kern.agent.as_tool import SubAgent, is_sub_agent
from kern.errors import ConfigurationError
from kern.execution.child import DELEGATE, members_among
from kern.keywords import shown
from kern.models.form import Form
from kern.run.tags import tagged

Mode: TypeAlias = Literal["coordinate", "route"]
"""Who answers: the leader, with what its members have found; or the member that it has chosen."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """How a leader hands its work on.

    Attributes:
        routes: whether the answer of the member that is chosen is the run's.
        writes_tasks: whether the leader writes what a member is given; else it is the run's input.
        shares_interactions: whether a member is told what others were given in the run, and have
            answered.
        history_runs: how many of the team's earlier runs in the session a member is told of.
        tells_tools: whether the leader is told the names of its members' tools.
    """

    routes: bool = False
    writes_tasks: bool = True
    shares_interactions: bool = False
    history_runs: int = 0
    tells_tools: bool = False


def members_by_id(given: object, what: str = "members") -> dict[str, SubAgent]:
    """Return the members of a team, each by its id.

    Args:
        given: what the team was given.
        what: where that is from, for errors.

    Raises:
        ConfigurationError: it is no list of agents and teams that can be told apart.
    """
    if not isinstance(given, list | tuple) or not given:
        raise ConfigurationError(
            f"{what} must be a list of one agent or more, as in members=[researcher, writer], not "
            f"{given!r:.80}."
        )
    found: dict[str, SubAgent] = {}
    for each in cast("Sequence[object]", given):
        if not is_sub_agent(each):
            raise ConfigurationError(f"{what} must be agents and teams, not {shown(each)}.")
        if not each.is_named:
            raise ConfigurationError(
                f"A member of a team needs a name, by which its leader knows it, and {each!r:.80} "
                "has none. Give it one: Agent(name='Researcher')."
            )
        if each.id in found:
            raise ConfigurationError(
                f"Two members of a team have the id {each.id!r}. Give one of them another: "
                "Agent(id=...)."
            )
        found[each.id] = each
    return found


def told_of(members: Mapping[str, SubAgent], rules: Delegation) -> str:
    """Return what a leader's model is told of its members, and of how it gives them work.

    Args:
        members: the members, by id.
        rules: how they are given it.
    """
    given = "A member knows the task only, so write into it all that it has to know."
    if not rules.writes_tasks:
        given = "The member is given what the user has said."
    how = (
        f"Choose the one member that is there for what is asked, and call {DELEGATE}: its answer "
        f"is the user's. {given} Answer yourself only if no member is there for it."
        if rules.routes
        else f"Give work to the members that are there for it, by {DELEGATE}: to several at once "
        f"where they need nothing of each other, and again where something is missing. {given} "
        "Then answer yourself, with what they have found."
    )
    listed = "\n".join(_line(each, rules) for each in members.values())
    return tagged("members", listed, f"You lead a team. {how} These are its members.")


def _line(member: SubAgent, rules: Delegation) -> str:
    """Return a member in a line."""
    about = member.role or member.description
    words = [f"- {member.id}: {member.name}" + (f". {about}" if about else "")]
    if (inner := members_among(member.tools.values())) is not None:
        words.append(f"It leads a team: {', '.join(each.name for each in inner)}.")
    elif rules.tells_tools and member.tools:
        words.append(f"Its tools: {', '.join(member.tools)}.")
    if rules.writes_tasks and (form := Form.of(member.input_schema, "input_schema")) is not None:
        schema = json.dumps(form.schema, ensure_ascii=False)
        words.append(f"Its task is JSON of this schema: {schema}")
    return " ".join(words)
