"""Approvals: tools of whose calls records are kept, which people look for and decide.

The records are in the agent's database: ``db.get_approvals(status="pending")`` finds them, and
``db.update_approval(id, expected_status="pending", status="approved")`` decides; so do ``kern
approvals list`` and ``kern approvals approve``.
"""

from collections.abc import Callable
from copy import copy
from typing import Literal, TypeVar, overload

from kern.errors import ConfigurationError
from kern.run.approval import ApprovalType
from kern.tools.base import Tool
from kern.tools.rules import MARK, ToolRules, checked

__all__ = ["ApprovalType", "approval"]

Function = TypeVar("Function", bound=Callable[..., object])


@overload
def approval(function: Function, /) -> Function: ...


@overload
def approval(
    *,
    type: Literal["required", "audit"] | ApprovalType = "required",
    strict: bool = False,
) -> Callable[[Function], Function]: ...


def approval(
    function: Function | None = None,
    /,
    *,
    type: Literal["required", "audit"] | ApprovalType = "required",
    strict: bool = False,
) -> Function | Callable[[Function], Function]:
    """Keep records of what people decide about the calls of a tool.

    It stands above or below ``@tool``.

    Args:
        function: the tool, or the function that is to be one, where this is used as ``@approval``
            without arguments.
        type: ``"required"``: a record is made as a run pauses before a call. It can be decided by
            itself, after which a background run goes on; one in the foreground goes on once it is
            continued. Where the tool says nothing else, a call has to be confirmed. ``"audit"``: a
            record is made of the decision; the tool has to say what a person has to do.
        strict: whether the record alone decides: a run that is continued with answers is refused
            until its record is resolved.

    Returns:
        The tool, or the function, for ``@tool`` or for an agent.

    Raises:
        ConfigurationError: the rules do not fit together.

    Example:
        >>> from kern.tools import tool
        >>> @approval
        ... @tool
        ... def refund(amount: int) -> str:
        ...     '''Refund an amount in cents.'''
        ...     return f"refunded {amount}"
        >>> refund.approval_type, refund.requires_confirmation
        ('required', True)
    """
    if type not in tuple(ApprovalType):
        raise ConfigurationError(f"type must be 'required' or 'audit', not {type!r:.50}.")
    if strict and type != "required":
        raise ConfigurationError("strict: only with the type 'required', whose record decides.")
    rules: ToolRules = {"approval_type": "audit" if type == "audit" else "required"}
    if strict:
        rules["approval_strict"] = True

    def mark(function: Function) -> Function:
        if isinstance(function, Tool):
            return _ruled(function, rules)
        if not callable(function):
            raise ConfigurationError(f"@approval stands above a function, not {function!r:.50}.")
        setattr(function, MARK, {**getattr(function, MARK, {}), **rules})
        return function

    return mark if function is None else mark(function)


AnyTool = TypeVar("AnyTool", bound=Tool)


def _ruled(tool: AnyTool, rules: ToolRules) -> AnyTool:
    """Return a tool with more rules."""
    made = copy(tool)
    made.rules = checked("approval", {**tool.rules, **rules})
    for name, value in made.rules.items():
        setattr(made, name, value)
    return made
