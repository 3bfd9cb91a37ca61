"""An agent as a tool of others: its runs are then children of theirs."""

from typing_extensions import Unpack

from kern.agent.as_tool import AgentTool
from kern.agent.definition import AgentDefinition
from kern.agent.options import Input
from kern.agent.request import Request
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.record import NewRun
from kern.tools.rules import ToolRules


class Nesting(AgentDefinition[Deps, Output]):
    """What an agent can do for others."""

    def as_tool(
        self,
        name: str | None = None,
        description: str | None = None,
        *,
        background: bool = False,
        **rules: Unpack[ToolRules],
    ) -> AgentTool:
        """Return a tool for another agent, whose calls are runs of this one.

        The model gives it one text, ``input``, or what the agent's ``input_schema`` says; the
        result is the answer of the run. That run is a child of the one that calls: it is made once
        for a call, whatever happens to processes; it is kept where its parent is, in the parent's
        session, of whose state it changes what the parent sees; it is cancelled with its parent;
        where it waits for a person, so does its parent, whose requirements show it.

        Args:
            name: what the model calls; by default what the agent's name makes.
            description: what it is for; by default the agent's ``description`` or ``role``.
            background: whether calls start the run and return a receipt at once; the model is told
                of its end later. See ``docs/guides/background-agents.md``.
            **rules: those of every tool, such as ``requires_confirmation``; see
                :class:`~kern.tools.rules.ToolRules`.

        Raises:
            ConfigurationError: the agent's name makes none for a tool, or a rule cannot be used.

        Example:
            >>> from kern.agent import Agent
            >>> researcher = Agent("Market Researcher", description="Finds figures.")
            >>> researcher.as_tool()
            AgentTool('market_researcher')
        """
        if background:
            from kern.agent.background import StartTool

            return StartTool(self, name, description, **rules)
        return AgentTool(self, name, description, **rules)

    async def child_run(self, given: Input) -> NewRun:
        """Return the run that a call of :meth:`as_tool` begins.

        Args:
            given: its input.

        Raises:
            InvalidInputError: it cannot be used.
        """
        request = Request.of(self, given)
        if request.attachments is not None:
            return await request.attachments.attached(request.run)
        return request.run
