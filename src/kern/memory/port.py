"""What a memory manager needs of a database; any of kern's has it, see ``kern.db.memories``."""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from kern.memory.changes import MemoryChanges, MemoryFilter
from kern.memory.user_memory import UserMemory

Retrieval: TypeAlias = Literal["last_n", "first_n", "search", "agentic"]
"""How memories are looked for."""


class Kept(Protocol):
    """Memories in a database, as far as a manager needs them."""

    async def get(self, memory_id: str) -> UserMemory | None:
        """Return a memory."""

    async def find(
        self,
        wanted: MemoryFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool = False,
    ) -> list[UserMemory]:
        """Return memories, the last changed first."""

    async def put(self, memory: UserMemory) -> UserMemory | None:
        """Keep a memory; None where its id is in use for another user's."""

    async def apply(self, changes: MemoryChanges) -> None:
        """Change memories, all at once."""

    async def delete(self, memory_ids: Sequence[str], user_id: str | None = None) -> int:
        """Delete memories, and say how many."""

    async def clear(self, user_id: str | None) -> int:
        """Delete all memories of a user, and say how many."""


class Opened(Protocol):
    """An open database."""

    @property
    def memories(self) -> Kept:
        """What is remembered of users."""


class MemoryDb(Protocol):
    """A database as a manager needs it: any of kern's."""

    async def store(self) -> Opened:
        """Return the database, open for the running event loop."""
