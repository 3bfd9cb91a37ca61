"""What kern needs of a database for the contents of knowledge bases: what was loaded, and how far.

The texts themselves are in a vector database.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from kern.run.codec import decode_object, encode


class ContentStatus(StrEnum):
    """How far a content of a knowledge base has come.

    Example:
        >>> ContentStatus("completed") is ContentStatus.COMPLETED
        True
    """

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Content(NamedTuple):
    """What was put into a knowledge base at once: a file, a page of the web, or a text.

    Attributes:
        id: its identity, which follows from the knowledge base and ``source``: loaded again, it
            takes its own place.
        name: what people call it.
        source: where it comes from: the path of a file, a URL, or ``"text:…"``.
        status: how far it has come.
        status_message: why it failed; None where it did not.
        description: what its author says of it.
        metadata: what its chunks can be filtered by.
        size: how many bytes were read; None before that.
        chunks: of how many chunks it is made.
        run_id: the run that has loaded it, if it was one.
        created_at: when it was first loaded; None before it is stored.
        updated_at: when it last changed.

    Example:
        >>> Content("c1", "ferns.md", "/plants/ferns.md").status
        <ContentStatus.PROCESSING: 'processing'>
    """

    id: str
    name: str
    source: str
    status: ContentStatus = ContentStatus.PROCESSING
    status_message: str | None = None
    description: str | None = None
    metadata: Mapping[str, object] | None = None
    size: int | None = None
    chunks: int = 0
    run_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Contents(ABC):
    """The contents of the knowledge bases in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def put(self, knowledge: str, content: Content) -> None:
        """Keep a content of a knowledge base, in the place of the one with its id."""

    @abstractmethod
    async def find(self, knowledge: str, content_id: str) -> Content | None:
        """Return a content, or None where there is none."""

    @abstractmethod
    async def list(self, knowledge: str, limit: int, after: str = "") -> Sequence[Content]:
        """Return contents, in the order of their ids.

        Args:
            knowledge: the knowledge base.
            limit: how many at most.
            after: the id of the last one that is known.
        """

    @abstractmethod
    async def delete(self, knowledge: str, content_id: str | None = None) -> int:
        """Forget a content, or all of a knowledge base; return how many there were."""


_COLUMNS = ("id", "name", "status", "created_at", "updated_at")


def details_of(content: Content) -> str:
    """Return what has no column of its own, as text."""
    values = {name: each for name, each in content._asdict().items() if name not in _COLUMNS}
    return encode(values, "the content's metadata")


def content_of(
    content_id: str, name: str, status: str, details: str, *at: datetime | None
) -> Content:
    """Return a content as its row says.

    Args:
        content_id: its id.
        name: its name.
        status: how far it has come.
        details: see :func:`details_of`.
        at: when it was made, and changed.
    """
    more = decode_object(details)
    created_at, updated_at = at
    return Content(content_id, name, **more)._replace(  # type: ignore[arg-type] # as written
        status=ContentStatus(status), created_at=created_at, updated_at=updated_at
    )
