"""Which memories are wanted, and how they change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from kern.errors import InvalidInputError
from kern.memory.words import Words

MOST = 100
"""How many words, and topics, are looked for at once: a database takes long for more."""


class MemoryFilter(msgspec.Struct, frozen=True):
    """The memories that are wanted; None, or nothing, stands for any.

    Attributes:
        user_id: whose.
        agent_id: drawn by which agent.
        topics: about one of these; see :func:`kern.memory.words.topic_word`.
        words: with words that begin so, one for each.

    Raises:
        InvalidInputError: there are too many words or topics.
    """

    user_id: str | None = None
    agent_id: str | None = None
    topics: Words = ()
    words: Words = ()

    def __post_init__(self) -> None:
        for what, found in (("words", self.words), ("topics", self.topics)):
            if len(found) > MOST:
                raise InvalidInputError(
                    f"Memories are looked for by at most {MOST} {what} at once, not {len(found):,}."
                )


@dataclass(frozen=True, slots=True)
class MemoryChange:
    """What is to change in the memories of a user.

    Attributes:
        operation: what is done. ``"update"`` of one that was changed since it was seen adds
            another; of one that is gone, nothing. ``"clear"`` deletes all.
        memory_id: the memory that is changed, or the id of the new one.
        memory: its text.
        topics: what it is about.
        seen: when the one that is to be updated had last been changed, as who changes it knows.
        otherwise: the id of the memory that is added in the place of an update.
    """

    operation: Literal["add", "update", "delete", "clear"]
    memory_id: str = ""
    memory: str = ""
    topics: tuple[str, ...] = ()
    seen: float | None = None
    otherwise: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return what readers of the run are told of it, as JSON values."""
        told: dict[str, object] = {"operation": self.operation}
        if self.memory_id:
            told["memory_id"] = self.memory_id
        if self.memory:
            told |= {"memory": self.memory, "topics": [*self.topics]}
        return told


@dataclass(frozen=True, slots=True)
class MemoryChanges:
    """Changes in the memories of a user that come together, and where they come from.

    Attributes:
        user_id: the user.
        changes: the changes, in their order.
        agent_id: the agent that makes them, or None.
        run_id: its run, or None.
        input: what the user said.
    """

    user_id: str
    changes: Sequence[MemoryChange]
    agent_id: str | None = None
    run_id: str | None = None
    input: str | None = None
