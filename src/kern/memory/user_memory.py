"""One thing that is remembered of a user."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from kern.errors import InvalidInputError
from kern.run.codec import check_id, check_user

__all__ = ["UserMemory"]

NOBODY = "default"
"""The user whose memories are those of runs without a user."""

LONGEST = 10_000
"""How many characters a memory has at most, and what it came from and is said of it."""

TOPICS = 20
"""How many topics a memory has at most."""

_LONGEST_TOPIC = 100

# Neither database can hold these in a text.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(slots=True)
class UserMemory:
    """One thing that is remembered of a user.

    Attributes:
        memory: the text.
        memory_id: its identity; a new one gets one once it is kept.
        topics: what it is about, a few words each.
        user_id: the user.
        input: what the user said, out of which it was drawn.
        created_at: when it was first kept, in seconds since 1970.
        updated_at: when it was last changed.
        feedback: what the user said of it.
        agent_id: the agent that has drawn it.

    Example:
        >>> UserMemory("Drinks tea.", topics=["drinks"]).to_dict()
        {'memory': 'Drinks tea.', 'topics': ['drinks']}
    """

    memory: str
    memory_id: str | None = None
    topics: list[str] = field(default_factory=list)
    user_id: str | None = None
    input: str | None = None
    created_at: float | None = None
    updated_at: float | None = None
    feedback: str | None = None
    agent_id: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON values, without what is not known."""
        found = {each: getattr(self, each) for each in self.__slots__}
        return {name: value for name, value in found.items() if value not in (None, [])}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return what :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            InvalidInputError: it is no memory.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("memory"), str):
            raise InvalidInputError(f"A memory is a dict with its text, not {values!r:.80}.")
        known = {each: values[each] for each in cls.__slots__ if values.get(each) is not None}
        return cls(**known)  # type: ignore[arg-type] # It is looked at where it is kept.


def user_of(user_id: object) -> str:
    """Return whose memories those of a run with this user are.

    Raises:
        InvalidInputError: it cannot be an id.
    """
    return check_user(user_id) or NOBODY


def checked(memory: UserMemory) -> UserMemory:
    """Return a memory as it can be kept.

    Raises:
        InvalidInputError: it cannot.
    """
    if not isinstance(memory, UserMemory):
        raise InvalidInputError(
            f"Pass a UserMemory, as in UserMemory('Drinks tea.'), not {type(memory).__name__}."
        )
    topics: object = memory.topics
    if not isinstance(topics, list | tuple) or not all(isinstance(each, str) for each in topics):
        raise InvalidInputError(f"The topics of a memory are a list of texts, not {topics!r:.80}.")
    if len(topics) > TOPICS:
        raise InvalidInputError(f"A memory has at most {TOPICS} topics, not {len(topics)}.")
    kept = {name: _text(name, getattr(memory, name)) for name in ("memory", "input", "feedback")}
    if not (kept["memory"] or "").strip():
        raise InvalidInputError("A memory needs a text that says something.")
    return UserMemory(
        kept["memory"] or "",
        None if memory.memory_id is None else check_id("memory_id", memory.memory_id),
        topics_of(topics),
        check_user(memory.user_id),
        kept["input"],
        memory.created_at,
        memory.updated_at,
        kept["feedback"],
        None if memory.agent_id is None else check_id("agent_id", memory.agent_id),
    )


def storable(text: str, longest: int = LONGEST) -> str:
    """Return a text as every database can hold it, cut where it is too long."""
    return _UNSTORABLE.sub("\ufffd", text if len(text) <= longest else f"{text[: longest - 1]}…")


def topics_of(given: Iterable[str]) -> list[str]:
    """Return topics as they are kept: each once, in few words."""
    texts = (storable(" ".join(each.split()), _LONGEST_TOPIC) for each in given)
    return [*dict.fromkeys(each for each in texts if each)][:TOPICS]


def _text(name: str, value: object) -> str | None:
    if value is None and name != "memory":
        return None
    if not isinstance(value, str):
        raise InvalidInputError(f"The {name} of a memory is a text, not {value!r:.80}.")
    if len(value) > LONGEST:
        raise InvalidInputError(
            f"The {name} of a memory has at most {LONGEST:,} characters, not {len(value):,}: "
            "remember what matters of it, in several memories."
        )
    return storable(value)
