"""An agent as a tool of another one: each call is a child run."""

import asyncio
import re
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from typing_extensions import TypeIs, Unpack, override

from kern.db.database import Database
from kern.dispatch.children import UnstoredChildren
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError
from kern.execution.child import Children, SubAgentTool
from kern.execution.child_calls import ChildCall
from kern.execution.spec import Definition, is_portable
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.base import RunContext, RunStatus
from kern.run.record import NewRun
from kern.run.tool import ToolSchema
from kern.tools import ToolResult
from kern.tools.rules import ToolRules

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")

# The agents that are being looked at: they may be tools of each other.
_looked_at: ContextVar[frozenset[int]] = ContextVar("looked_at", default=frozenset())


class SubAgent(Definition, Protocol):
    """An agent, as far as it is a tool of others."""

    db: Database | None
    description: str | None
    input_schema: object
    is_named: bool
    role: str | None

    async def child_run(self, given: Any) -> NewRun:
        """Return the run that it is given an input for."""


class AgentTool(SubAgentTool):
    """A tool whose calls are runs of an agent; see :meth:`kern.agent.Agent.as_tool`.

    Attributes:
        agent: the agent.
    """

    asks_for: frozenset[str] = frozenset({"session_state"})

    def __init__(
        self,
        agent: SubAgent,
        name: str | None = None,
        description: str | None = None,
        **rules: Unpack[ToolRules],
    ) -> None:
        """Make the tool.

        Args:
            agent: the agent.
            name: what the model calls; by default what the agent's name makes.
            description: what it is for; by default the agent's description, or its role.
            **rules: see :class:`~kern.tools.rules.ToolRules`.

        Raises:
            ConfigurationError: the name cannot be used, or there is none.
        """
        self.agent, self.definitions = agent, (agent,)
        self._form = Form.of(agent.input_schema, "input_schema")
        told = description or agent.description or agent.role
        super().__init__(
            ToolSchema(
                tool_name(agent) if name is None else name,
                told or f"Has the agent {agent.name} do something, and returns its answer.",
                self._parameters(),
            ),
            **rules,
        )

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the agent is the same in every process that has it."""
        looked_at = _looked_at.get()
        if id(self.agent) in looked_at:
            return True  # It is looked at already.
        token = _looked_at.set(looked_at | {id(self.agent)})
        try:
            return is_portable(self.agent)
        finally:
            _looked_at.reset(token)

    @override
    def read(self, arguments: str) -> dict[str, Any]:
        values = super().read(arguments)
        self.given(values)
        return values

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        try:
            given = self.given(super().read(arguments))
        except ValueError as error:
            return ToolResult(self.told(error), is_error=True)
        return self.result(await self.carry(given, arguments, ChildCall(context)))

    def given(self, values: dict[str, Any]) -> object:
        """Return the input of the run that a call is.

        Args:
            values: the call's arguments.

        Raises:
            ValueError: they do not fit; the text is for the model.
        """
        if self._form is not None:
            return self._form.write(values)
        match values:
            case {"input": str(text)} if text.strip():
                return text
        raise ValueError("input must be a text that says something")

    async def carry(self, given: object, arguments: str, call: ChildCall) -> RunOutput:
        """Return the child run of a call, as it has ended.

        Args:
            given: its input.
            arguments: the call's arguments.
            call: the call.

        Raises:
            CallPaused: it waits for a person.
            ConfigurationError: the agent has no name, and the parent executes in the background.
        """
        attempt, agent = call.attempt, self.agent
        if not (attempt.foreground or agent.is_named):
            raise ConfigurationError(
                f"The agent behind the tool {self.name} has neither name nor id, by which every "
                "process knows whose runs they are. Give it one: Agent(name=...)."
            )
        make = partial(agent.child_run, given)
        return await call.carry(agent, arguments, make, await self._children(call))

    def result(self, child: RunOutput) -> ToolResult:
        """Return what a call came to.

        Args:
            child: its run, as it has ended.
        """
        if child.status is RunStatus.completed:
            return ToolResult(child.get_content_as_string())
        why = "was cancelled" if child.is_cancelled else f"failed: {child.error}"
        return ToolResult(f"The run of {self.agent.name} {why}", is_error=True)

    async def _children(self, call: ChildCall) -> Children:
        """Return what carries out the children of a run: its database, or else the child's."""
        if call.attempt.children is not None:
            return call.attempt.children
        if self.agent.db is None:
            return UnstoredChildren()
        return (await open_runtime(self.agent.db)).children

    def _parameters(self) -> dict[str, object]:
        if self._form is not None:
            return self._form.schema
        what = {"type": "string", "description": "What it is to do, with all that it has to know."}
        return {"type": "object", "properties": {"input": what}, "required": ["input"]}


def is_sub_agent(given: object) -> TypeIs[SubAgent]:
    """Say whether something is an agent; its class is none.

    Args:
        given: what a user gave as one.
    """
    return callable(getattr(given, "child_run", None)) and not isinstance(given, type)


def tool_name(agent: SubAgent, remedy: str = "as_tool(name='research')") -> str:
    """Return the name of a tool that an agent's name makes.

    Args:
        agent: the agent.
        remedy: how to give it one, for the error.

    Raises:
        ConfigurationError: it makes none.
    """
    name = _NOT_IN_A_NAME.sub("_", agent.name.lower()).strip("_")[:50]
    if agent.is_named and name:
        return name
    raise ConfigurationError(
        f"A tool needs a name of letters and digits, and the agent {agent.name!r:.80} makes none. "
        f"Give it one: {remedy}."
    )
