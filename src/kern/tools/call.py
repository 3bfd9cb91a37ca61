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
    """

    function: Tool
    arguments: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    call_id: str | None = None
    error: str | None = None
