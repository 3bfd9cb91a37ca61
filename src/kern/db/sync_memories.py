"""Generated from ``kern/db/memory_methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Sequence
from typing import Any, Literal, overload

from kern.aio.portal import finished
from kern.db.memory_methods import MemoryMethods
from kern.memory.user_memory import UserMemory


class SyncMemoryMethods(MemoryMethods):
    """The methods of :class:`MemoryMethods`, for code without an event loop."""

    @overload
    def get_user_memories(
        self,
        user_id: str | None = None,
        agent_id: str | None = None,
        topics: Sequence[str] | None = None,
        search_content: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: str | None = None,
        deserialize: Literal[True] = True,
    ) -> list[UserMemory]: ...
    @overload
    def get_user_memories(
        self,
        user_id: str | None = None,
        agent_id: str | None = None,
        topics: Sequence[str] | None = None,
        search_content: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: str | None = None,
        deserialize: bool = True,
    ) -> list[UserMemory] | tuple[list[dict[str, object]], int]: ...
    def get_user_memories(
        self,
        user_id: str | None = None,
        agent_id: str | None = None,
        topics: Sequence[str] | None = None,
        search_content: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: str | None = None,
        deserialize: bool = True,
    ) -> list[UserMemory] | tuple[list[dict[str, object]], int]:
        """Return memories, by default the last changed first.

        Args:
            user_id: only those of this user; by default of all.
            agent_id: only those that this agent has drawn.
            topics: only those about one of these.
            search_content: only those that have all of its words, or words that begin so, in any
                order, in upper or lower case, with or without accents.
            limit: how many at most; by default all.
            page: which page of ``limit``, from 1 on; the later, the longer it takes.
            sort_order: ``"desc"`` or ``"asc"``, by when they were last changed.
            deserialize: False for their JSON values, and how many there are on all pages.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        return finished(
            self.aget_user_memories(
                user_id, agent_id, topics, search_content, limit, page, sort_order, deserialize
            )
        )

    def get_user_memory(self, memory_id: str, user_id: str | None = None) -> UserMemory | None:
        """Return a memory, or None where there is none, or it is another user's.

        Args:
            memory_id: the memory.
            user_id: the user whose memory it must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        return finished(self.aget_user_memory(memory_id, user_id))

    def upsert_user_memory(self, memory: UserMemory | dict[str, Any]) -> UserMemory:
        """Keep a memory, in the place of the user's one of its id.

        Args:
            memory: the memory, or its JSON values. Without an id it is a new one; without a user
                it is one of the user ``"default"``.

        Returns:
            The memory as it is kept.

        Raises:
            InvalidInputError: it cannot be kept, or its id is in use for another user's.
            DatabaseError: it could not be stored.
        """
        return finished(self.aupsert_user_memory(memory))

    def delete_user_memory(self, memory_id: str, user_id: str | None = None) -> bool:
        """Delete a memory.

        Args:
            memory_id: the memory.
            user_id: the user whose memory it must be; by default any.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be deleted.
        """
        return finished(self.adelete_user_memory(memory_id, user_id))

    def delete_user_memories(self, memory_ids: Sequence[str], user_id: str | None = None) -> int:
        """Delete memories, and say how many.

        Args:
            memory_ids: which.
            user_id: the user whose memories they must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be deleted.
        """
        return finished(self.adelete_user_memories(memory_ids, user_id))

    def clear_memories(self, user_id: str | None = None) -> int:
        """Delete all memories, and say how many.

        Args:
            user_id: only those of this user; by default those of all users.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be deleted.
        """
        return finished(self.aclear_memories(user_id))

    def get_all_memory_topics(self, user_id: str | None = None) -> list[str]:
        """Return what memories are about, each topic once.

        Args:
            user_id: only of those of this user; by default of all, and the more there are, the
                longer it takes.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be read.
        """
        return finished(self.aget_all_memory_topics(user_id))

    def get_user_memory_stats(
        self, limit: int | None = None, page: int | None = None, user_id: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Return how much is remembered of each user, the last changed first, and of how many.

        Args:
            limit: how many users at most; by default all.
            page: which page of ``limit``, from 1 on.
            user_id: only of this user.

        Returns:
            ``user_id``, ``total_memories`` and ``last_memory_updated_at`` of each, and how many
            there are; the more memories, the longer it takes to count them.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be read.
        """
        return finished(self.aget_user_memory_stats(limit, page, user_id))
