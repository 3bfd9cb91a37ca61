"""The tool calls of an answer, as they are read however a server writes them."""

import json
from collections.abc import Iterable
from uuid import uuid4

from kern.run.tool import ToolCall


def read_call(id: object, name: object, arguments: object, others: Iterable[ToolCall]) -> ToolCall:
    """Return a call, with an id of its own where the server gave none, or a second time.

    Args:
        id: what the server gave as its id.
        name: the tool's name.
        arguments: its arguments.
        others: the calls before it.
    """
    if not (isinstance(id, str) and id.strip()) or any(each.id == id for each in others):
        id = new_id()
    name = name if isinstance(name, str) and name else "unnamed"
    return ToolCall(id, name, arguments_of(arguments))


def new_id() -> str:
    """Return an id for a call that has none."""
    return f"call_{uuid4().hex}"


def arguments_of(value: object) -> str:
    """Return the arguments of a call as JSON text; some servers give them as an object."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
