"""The ids of tool calls: each call of a conversation has one of its own."""

from collections.abc import Iterable
from uuid import uuid4

from kern.run.message import Message


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
