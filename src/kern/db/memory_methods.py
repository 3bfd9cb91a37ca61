"""What a database answers users who ask it for memories."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, overload

from kern.db.database import Database
from kern.db.stored import page_of
from kern.errors import InvalidInputError
from kern.memory.changes import MemoryFilter
from kern.memory.user_memory import NOBODY, UserMemory, checked
from kern.memory.words import topic_word, words_of
from kern.run.codec import check_id, check_user
from kern.run.identity import new_id
from kern.run.ownership import may_see


class MemoryMethods(Database):
    """The memories of users in a database, for who has no agent at hand."""

    @overload
    async def aget_user_memories(
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
    async def aget_user_memories(
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

    async def aget_user_memories(
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
        if sort_order not in (None, "asc", "desc"):
            raise InvalidInputError(f"sort_order is 'asc' or 'desc', not {sort_order!r:.50}.")
        if isinstance(topics, str):
            raise InvalidInputError(f"topics must be a list, as in [{topics!r:.50}].")
        wanted = MemoryFilter(
            check_user(user_id),
            None if agent_id is None else check_id("agent_id", agent_id),
            tuple(map(topic_word, topics or ())),
            words_of(search_content or ""),
        )
        limit, offset = page_of(limit, page)
        memories = (await self.store()).memories
        found: list[UserMemory] = []
        if not search_content or wanted.words:  # Else it has no words: nothing has them all.
            found = await memories.find(wanted, limit, offset, oldest_first=sort_order == "asc")
        if deserialize:
            return found
        return [each.to_dict() for each in found], await memories.count(wanted)

    async def aget_user_memory(
        self, memory_id: str, user_id: str | None = None
    ) -> UserMemory | None:
        """Return a memory, or None where there is none, or it is another user's.

        Args:
            memory_id: the memory.
            user_id: the user whose memory it must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        check_id("memory_id", memory_id)
        found = await (await self.store()).memories.get(memory_id)
        owner = check_user(user_id)
        return found if found is not None and may_see(owner, found.user_id) else None

    async def aupsert_user_memory(self, memory: UserMemory | dict[str, Any]) -> UserMemory:
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
        given = UserMemory.from_dict(memory) if isinstance(memory, dict) else memory
        kept = checked(given)
        named = replace(kept, memory_id=kept.memory_id or new_id(), user_id=kept.user_id or NOBODY)
        stored = await (await self.store()).memories.put(named)
        if stored is None:
            raise InvalidInputError(
                f"The memory_id {named.memory_id!r} is in use. Leave it out to keep a new memory."
            )
        return stored

    async def adelete_user_memory(self, memory_id: str, user_id: str | None = None) -> bool:
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
        return await self.adelete_user_memories([memory_id], user_id) > 0

    async def adelete_user_memories(
        self, memory_ids: Sequence[str], user_id: str | None = None
    ) -> int:
        """Delete memories, and say how many.

        Args:
            memory_ids: which.
            user_id: the user whose memories they must be; by default any.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: they could not be deleted.
        """
        if isinstance(memory_ids, str):
            raise InvalidInputError(f"memory_ids must be a list, as in [{memory_ids!r:.50}].")
        ids = [check_id("memory_id", each) for each in memory_ids]
        return await (await self.store()).memories.delete(ids, check_user(user_id))

    async def aclear_memories(self, user_id: str | None = None) -> int:
        """Delete all memories, and say how many.

        Args:
            user_id: only those of this user; by default those of all users.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be deleted.
        """
        return await (await self.store()).memories.clear(check_user(user_id))

    async def aget_all_memory_topics(self, user_id: str | None = None) -> list[str]:
        """Return what memories are about, each topic once.

        Args:
            user_id: only of those of this user; by default of all, and the more there are, the
                longer it takes.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be read.
        """
        return await (await self.store()).memories.topics(check_user(user_id))

    async def aget_user_memory_stats(
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
        limit, offset = page_of(limit, page)
        memories = (await self.store()).memories
        found, total = await memories.stats(check_user(user_id), limit, offset)
        return [each._asdict() for each in found], total
