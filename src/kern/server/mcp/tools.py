"""The tools that a client is offered: agents by their names, and what is done with runs."""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal, TypeAlias, get_args

from mcp.types import Tool, ToolAnnotations

from kern.models.form import Form
from kern.server.caller import Caller
from kern.server.mcp.given import Answered, RunAsked, RunNamed, Task, schema_of
from kern.server.service import AnyAgent

OwnTool: TypeAlias = Literal["get_run", "cancel_run", "answer_run"]
"""What is done with runs."""

_OWN: Mapping[str, OwnTool] = {each: each for each in get_args(OwnTool)}

# What every provider of models takes as the name of a tool, but for what an id is marked with here.
_NAME = re.compile(r"(?!.*_[0-9a-f]{8}$)[a-zA-Z0-9_-]{1,64}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")

_GET_RUN = Tool(
    name="get_run",
    title="Get a run",
    description="Returns the answer of a run for which you have a receipt, or how it stands.",
    input_schema=schema_of(RunAsked),
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
)
_CANCEL_RUN = Tool(
    name="cancel_run",
    title="Cancel a run",
    description="Stops a run, wherever it executes. What it has done by then is not undone.",
    input_schema=schema_of(RunNamed),
    annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False),
)
_ANSWER_RUN = Tool(
    name="answer_run",
    title="Answer a run",
    description="Answers what a run waits for, so that it goes on. Ask the user first, and answer "
    "only what the user has said: never decide it yourself.",
    input_schema=schema_of(Answered),
    annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=False),
)


class AgentTools:
    """Agents by the names of the tools that they are."""

    def __init__(self, agents: Iterable[AnyAgent]) -> None:
        """Name them.

        Args:
            agents: the agents.
        """
        self._agents: Mapping[str, AnyAgent] = {name_of(each.id): each for each in agents}

    def find(self, name: str, caller: Caller, *, answers: bool) -> OwnTool | AnyAgent | None:
        """Return what a tool is; None where there is none that the caller may use.

        Args:
            name: its name.
            caller: the caller.
            answers: whether it may answer what runs wait for.
        """
        own = _OWN.get(name)
        if own is not None:
            return own if own != "answer_run" or answers else None
        agent = self._agents.get(name)
        return agent if agent is not None and caller.sees(agent.id) else None

    def listed(self, caller: Caller, *, answers: bool) -> list[Tool]:
        """Return the tools that a caller may use.

        Args:
            caller: the caller.
            answers: whether it may answer what runs wait for.
        """
        agents = [_of(name, each) for name, each in self._agents.items() if caller.sees(each.id)]
        return [*agents, _GET_RUN, _CANCEL_RUN, *([_ANSWER_RUN] if answers else ())]


def name_of(agent_id: str) -> str:
    """Return the name of the tool that an agent is: its id, if that can be one.

    Example:
        >>> name_of("researcher"), name_of("Frau Müller"), name_of("get_run")
        ('researcher', 'Frau_M_ller_b53b9b67', 'get_run_3b754d3a')
    """
    if _NAME.fullmatch(agent_id) and agent_id not in _OWN:
        return agent_id
    mark = sha256(agent_id.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    plain = _NOT_IN_A_NAME.sub("_", agent_id)[:50].strip("_") or "agent"
    return f"{plain}_{mark}"


def form_of(agent: AnyAgent) -> Form | None:
    """Return the form of what an agent takes; None for a text."""
    return Form.of(agent.input_schema, "input_schema")


def _of(name: str, agent: AnyAgent) -> Tool:
    form = form_of(agent)
    schema: dict[str, Any] = schema_of(Task) if form is None else form.schema
    told = agent.description or agent.role
    return Tool(
        name=name,
        title=agent.name,
        description=told or f"Has the agent {agent.name} do something, and returns its answer.",
        input_schema=schema,
        annotations=ToolAnnotations(open_world_hint=True),
    )
