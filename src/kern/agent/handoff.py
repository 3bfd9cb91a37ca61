"""Handing the conversation over to another agent, which answers in the place of the first."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from typing_extensions import override

from kern.agent.as_tool import AgentTool, SubAgent, is_sub_agent, tool_name
from kern.aio.threads import call_in_thread
from kern.errors import ConfigurationError
from kern.execution.child_calls import ChildCall
from kern.keywords import shown
from kern.run.agent import RunOutput
from kern.run.base import RunContext
from kern.run.message import Message
from kern.tools import ToolResult

InputFilter: TypeAlias = Callable[[list[Message]], Sequence[Message] | Awaitable[Sequence[Message]]]
"""What the other agent is told, of the messages of the conversation."""

_REMEDY = "Handoff(agent, name='transfer_to_research')"


@dataclass(frozen=True, slots=True)
class Handoff:
    """An agent to which a conversation may be handed over, and how.

    Attributes:
        agent: the agent.
        input_filter: returns what it is told, of the messages of the conversation until then, of
            which the last is the user's or a tool's; by default all of them. It may be
            asynchronous.
        name: what the model calls for it; by default ``transfer_to_`` and the agent's name.
        description: when to do so; by default what the agent's ``description`` or ``role`` says.

    Example:
        >>> from kern.agent import Agent
        >>> refunds = Agent("Refunds", description="Answers questions about refunds.")
        >>> last = Handoff(refunds, input_filter=lambda messages: messages[-1:])
        >>> triage = Agent("Triage", handoffs=[last])
        >>> [*triage.tools]
        ['transfer_to_refunds']
    """

    agent: SubAgent
    input_filter: InputFilter | None = None
    name: str | None = None
    description: str | None = None


class HandoffTool(AgentTool):
    """The tool that hands a conversation over; its run ends with the other agent's answer."""

    def __init__(self, handoff: Handoff) -> None:
        """Make the tool.

        Args:
            handoff: to whom, and how.

        Raises:
            ConfigurationError: it cannot be used.
        """
        agent, name = handoff.agent, handoff.name
        if agent.input_schema is not None:
            raise ConfigurationError(
                f"The agent {agent.name!r:.80} has an input_schema, and a conversation is none. "
                "Give it as a tool: tools=[agent.as_tool()]."
            )
        about = agent.description or agent.role
        super().__init__(
            agent,
            f"transfer_to_{tool_name(agent, _REMEDY)}" if name is None else name,
            handoff.description
            or f"Hands the conversation over to {agent.name}.{f' {about}' if about else ''}",
            sequential=True,
            call_limit=1,
        )
        self._filter = handoff.input_filter

    @override
    def _parameters(self) -> dict[str, object]:
        return {"type": "object", "properties": {}}

    @override
    def given(self, values: dict[str, object]) -> object:
        return None

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        call = ChildCall(context)
        if call.follows(HandoffTool):
            return ToolResult("Not called: the conversation is handed over once.", is_error=True)
        messages: Sequence[Message] = await call.conversation()
        if self._filter is not None:
            messages = await _filtered(self._filter, [*messages])
        return self.result(await self.carry([*messages], "{}", call))

    @override
    def result(self, child: RunOutput) -> ToolResult:
        result = super().result(child)
        return result if result.is_error else ToolResult(result.content, ends=True)


def handoff_tools(handoffs: object) -> list[HandoffTool]:
    """Return the tools for what an agent was given as ``handoffs``.

    Raises:
        ConfigurationError: it is no list of agents and handoffs.
    """
    if not isinstance(handoffs, list | tuple):
        raise ConfigurationError(
            f"handoffs must be a list, as in handoffs=[refunds], not {handoffs!r:.80}."
        )
    return [HandoffTool(_handoff(each)) for each in handoffs]


def _handoff(given: object) -> Handoff:
    agent: object = given.agent if isinstance(given, Handoff) else given
    if not is_sub_agent(agent):
        raise ConfigurationError(
            f"handoffs must be agents, or Handoff(agent, input_filter=...), not {shown(agent)}."
        )
    handoff = given if isinstance(given, Handoff) else Handoff(agent)
    if handoff.input_filter is not None and not callable(handoff.input_filter):
        raise ConfigurationError(
            f"input_filter must be a function of the messages, not {handoff.input_filter!r:.80}."
        )
    return handoff


async def _filtered(filter: InputFilter, messages: list[Message]) -> Sequence[Message]:
    if inspect.iscoroutinefunction(inspect.unwrap(filter)):
        returned: object = filter(messages)
    else:
        returned = await call_in_thread(partial(filter, messages))
    if inspect.isawaitable(returned):
        returned = await returned
    if isinstance(returned, list | tuple) and all(isinstance(each, Message) for each in returned):
        return returned
    raise ConfigurationError(f"input_filter must return a list of messages, not {returned!r:.80}.")
