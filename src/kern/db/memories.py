"""What kern needs of a database for memories of users: the port beside that of the runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kern.db.values import Appended
from kern.memory.changes import MemoryChanges, MemoryFilter
from kern.memory.user_memory import UserMemory
from kern.run.record import JournalRow


class Remembered(NamedTuple):
    """How much is remembered of a user.

    Attributes:
        user_id: the user.
        total_memories: how many memories.
        last_memory_updated_at: when the last of them was changed, in seconds since 1970.
    """

    user_id: str
    total_memories: int
    last_memory_updated_at: float


class Memories(ABC):
    """The memories of users in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def get(self, memory_id: str) -> UserMemory | None:
        """Return a memory."""

    @abstractmethod
    async def find(
        self,
        wanted: MemoryFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool = False,
    ) -> list[UserMemory]:
        """Return memories, the last changed first.

        Args:
            wanted: which.
            limit: how many at most; None for all.
            offset: how many of the first ones to leave out; the more, the longer it takes.
            oldest_first: whether the last changed comes last.
        """

    @abstractmethod
    async def count(self, wanted: MemoryFilter) -> int:
        """Return how many memories there are of those that are wanted."""

    @abstractmethod
    async def put(self, memory: UserMemory) -> UserMemory | None:
        """Keep a memory that has an id and a user, in the place of the user's of that id.

        Returns:
            The memory as it is kept; None where the id is in use for another user's.
        """

    @abstractmethod
    async def apply(self, changes: MemoryChanges) -> None:
        """Change memories, all at once or not at all; those of other users stay as they are."""

    @abstractmethod
    async def append(
        self,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
        streamed: bool,
        changes: Mapping[int, MemoryChanges],
    ) -> Appended | None:
        """Commit rows to a run's journal, with the changes that some of them tell of.

        Both are done in one transaction, and once: where a row is there already, what it tells of
        is not done again.

        Args:
            run_id: the run.
            attempt: who writes; a stale attempt is refused.
            rows: the rows, numbered by the attempt.
            streamed: whether to notify of it.
            changes: what is to change, by the number of the row that tells of it.

        Returns:
            As :meth:`kern.db.base.Store.append`.
        """

    @abstractmethod
    async def delete(self, memory_ids: Sequence[str], user_id: str | None = None) -> int:
        """Delete memories, and say how many.

        Args:
            memory_ids: which.
            user_id: whose they must be; None for anybody's.
        """

    @abstractmethod
    async def clear(self, user_id: str | None) -> int:
        """Delete all memories of a user, or of all users, and say how many."""

    @abstractmethod
    async def topics(self, user_id: str | None) -> list[str]:
        """Return what memories of a user, or of all users, are about, each topic once."""

    @abstractmethod
    async def stats(
        self, user_id: str | None, limit: int | None, offset: int
    ) -> tuple[list[Remembered], int]:
        """Return how much is remembered of users, the last changed first, and of how many."""
