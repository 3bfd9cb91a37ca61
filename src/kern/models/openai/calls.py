"""The tool calls of an answer, as they are read however a server writes them."""

import json

from kern.models.calls import own_id
from kern.run.tool import ToolCall


def read_call(id: object, name: object, arguments: object, taken: set[str]) -> ToolCall:
    """Return a call, with an id of its own where the server gave none, or one that is taken.

    Args:
        id: what the server gave as its id.
        name: the tool's name.
        arguments: its arguments.
        taken: the ids of the calls before it; its own is added.
    """
    name = name if isinstance(name, str) and name else "unnamed"
    return ToolCall(own_id(id, taken), name, arguments_of(arguments))


def arguments_of(value: object) -> str:
    """Return the arguments of a call as JSON text; some servers give them as an object."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
