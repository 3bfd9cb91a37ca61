"""The tool with which the leader of a team gives a member a task: each call is a child run."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from kern.agent.as_tool import AgentTool, SubAgent
from kern.agent.options import written
from kern.agent.slug import slug
from kern.errors import InvalidInputError
from kern.execution.child import DELEGATE, SubAgentTool
from kern.execution.child_calls import ChildCall
from kern.run.base import RunContext
from kern.run.tool import ToolSchema
from kern.team.members import Delegation, told_of
from kern.team.sharing import task_message
from kern.tools import ToolResult


class DelegateTool(SubAgentTool):
    """A tool whose calls are runs of the members of a team.

    Attributes:
        members: the members, by id.
    """

    asks_for: frozenset[str] = frozenset({"session_state"})
    leads: ClassVar[bool] = True

    def __init__(self, members: Mapping[str, SubAgent], rules: Delegation) -> None:
        """Make the tool.

        Args:
            members: the members, by id.
            rules: how they are given work.
        """
        self.members = members
        self.definitions: list[SubAgent] = [*members.values()]
        self._delegation = rules
        self._tools = {id: AgentTool(each, DELEGATE) for id, each in members.items()}
        properties: dict[str, object] = {
            "member_id": {
                "type": "string",
                "enum": [*members],
                "description": "The id of the member.",
            }
        }
        if rules.writes_tasks:
            properties["task"] = {
                "type": "string",
                "description": "What it is to do, with all that it has to know, and what it is to "
                "answer.",
            }
        self._asked = [*properties]
        told = "Gives a member of the team a task, and returns its answer."
        super().__init__(
            ToolSchema(
                DELEGATE,
                told,
                {"type": "object", "properties": properties, "required": self._asked},
            ),
            sequential=rules.routes,
            instructions=told_of(members, rules),
        )

    @property
    @override
    def is_portable(self) -> bool:
        """Whether the members are the same in every process that has the team."""
        return all(each.is_portable for each in self._tools.values())

    @override
    def read(self, arguments: str) -> dict[str, Any]:
        values = super().read(arguments)
        for name in self._asked:
            text = values.get(name)
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"{name} must be a text that says something")
        return values

    @override
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        call, routes = ChildCall(context), self._delegation.routes
        if routes and call.follows(DelegateTool):
            return ToolResult("Not called: the task is given to one member.", is_error=True)
        try:
            values = self.read(arguments)
            named: str = values["member_id"]
            tool = self._tools.get(named) or self._tools.get(slug(named))
            if tool is None:
                known = ", ".join(self.members)
                return ToolResult(f"There is no member {named[:100]!r}. The members are: {known}.")
            member, task = tool.agent, values["task"] if self._delegation.writes_tasks else None
            if member.input_schema is not None:
                task = written(member.input_schema, await _said(call) if task is None else task)
        except (ValueError, InvalidInputError) as error:
            return ToolResult(self.told(error), is_error=True)
        given = await task_message(member, task, call, self._delegation)
        result = tool.result(await tool.carry(given, arguments, call))
        if routes and not result.is_error:
            return ToolResult(result.content, ends=True)
        return result


async def _said(call: ChildCall) -> str:
    """Return what the user has said, as text."""
    said = (each.text for each in await call.given() if each.role == "user")
    return "\n\n".join(text for text in said if text)
