"""What was found for a run in an agent's knowledge."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class MessageReferences:
    """The documents that a search has found.

    Attributes:
        query: what was looked for.
        references: the documents, JSON values, as the model was told them.
        time: how long the search took, in seconds.
    """

    query: str
    references: list[object] = field(default_factory=list)
    time: float | None = None


def references_to_json(found: Sequence[MessageReferences]) -> list[object]:
    """Return references as JSON values."""
    values: list[object] = msgspec.to_builtins([*found])
    return values


def references_from_json(values: object) -> list[MessageReferences]:
    """Return the references that :func:`references_to_json` gave.

    Raises:
        ValueError: they are damaged.
    """
    return msgspec.convert(values, list[MessageReferences])
