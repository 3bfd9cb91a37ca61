"""A model call while it is under way, and who may keep its answer."""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar


class Keeper(Protocol):
    """Who may keep an answer."""

    @property
    def origin(self) -> str:
        """Whom a handle means something to."""


KeeperT = TypeVar("KeeperT", bound=Keeper)


@dataclass(slots=True)
class ModelCall:
    """A model call that has not ended.

    Attributes:
        event: the number of its first event.
        texts: the pieces of text that were handed to readers.
    """

    event: int
    texts: list[str] = field(default_factory=list)

    @property
    def slices(self) -> tuple[int, ...]:
        """In how many characters each the text was handed to readers."""
        return tuple(map(len, self.texts))
