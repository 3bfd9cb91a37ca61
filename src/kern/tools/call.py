"""A call of a tool, as the functions around it see it."""

from dataclasses import dataclass, field
from typing import Any

from kern.tools.base import Tool


@dataclass(slots=True)
class FunctionCall:
    """A call of a tool, as its hooks see and change it.

    Attributes:
        function: the tool.
        arguments: what it is called with, by name; a hook before the call may change it.
        result: what it returned, once it has; a hook after the call may change it.
        call_id: the provider's id of the call.
        error: what went wrong, once something has.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.testing import Reply, ScriptedModel
        >>> from kern.tools import tool
        >>> def told(fc: FunctionCall) -> None:
        ...     print(fc.function.name, fc.arguments)
        >>> @tool(pre_hook=told)
        ... def add(a: int, b: int) -> int:
        ...     return a + b
        >>> model = ScriptedModel([Reply.tool_calls(("add", {"a": 2, "b": 3})), "Five."])
        >>> _ = Agent("Clerk", model, tools=[add]).run("What is 2 + 3?")
        add {'a': 2, 'b': 3}
    """

    function: Tool
    arguments: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    call_id: str | None = None
    error: str | None = None
