"""The tool calls of an answer, as they are read however a server writes them."""

import json
from collections.abc import Iterable
from uuid import uuid4

from kern.models.values import Json
from kern.run.message import Message
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


def own_id(id: object, taken: set[str]) -> str:
    """Return the id of a call, or a new one where it has none or one that is taken.

    Args:
        id: what the server gave as its id.
        taken: the ids of the calls before it; this one is added.
    """
    if not (isinstance(id, str) and id.strip()) or id in taken:
        id = f"call_{uuid4().hex}"
    taken.add(id)
    return id


def ids_in(messages: Iterable[Message]) -> set[str]:
    """Return the ids of the calls of a conversation."""
    return {call.id for message in messages for call in message.tool_calls}


def arguments_of(value: object) -> str:
    """Return the arguments of a call as JSON text; some servers give them as an object."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def object_of(arguments: str) -> Json:
    """Return the arguments of a call as the object that some APIs demand.

    What is no object, or no JSON, becomes the member ``arguments`` of one.
    """
    text = arguments.strip()
    try:
        value: object = json.loads(text) if text else None
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return {"arguments": arguments}
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"arguments": arguments}
