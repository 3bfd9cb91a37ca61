"""Generated from ``kern/memory/managing.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Sequence

from kern.aio.portal import finished
from kern.memory.managing import ManagedMemories
from kern.memory.port import Retrieval
from kern.memory.user_memory import UserMemory
from kern.run.message import Message


class SyncManagedMemories(ManagedMemories):
    """The methods of :class:`ManagedMemories`, for code without an event loop."""

    def get_user_memories(self, user_id: str | None = None) -> list[UserMemory]:
        """Return what is remembered of a user, the last changed first.

        Args:
            user_id: the user; by default the user ``"default"``, as everywhere here.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: it could not be read.
        """
        return finished(self.aget_user_memories(user_id))

    def get_user_memory(self, memory_id: str, user_id: str | None = None) -> UserMemory | None:
        """Return a memory of a user; None where there is none, or it is another user's.

        Args:
            memory_id: the memory.
            user_id: the user.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        return finished(self.aget_user_memory(memory_id, user_id))

    def add_user_memory(self, memory: UserMemory, user_id: str | None = None) -> str:
        """Remember something of a user, and return the memory's id.

        Args:
            memory: the memory.
            user_id: the user; by default the memory's.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: it cannot be kept, or its id is in use for another user's.
            DatabaseError: it could not be stored.
        """
        return finished(self.aadd_user_memory(memory, user_id))

    def replace_user_memory(
        self, memory_id: str, memory: UserMemory, user_id: str | None = None
    ) -> str | None:
        """Put a memory in the place of another, and return its id; None where there is none.

        Args:
            memory_id: the memory that is replaced, whose id stays.
            memory: the other.
            user_id: the user; by default the memory's.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be stored.
        """
        return finished(self.areplace_user_memory(memory_id, memory, user_id))

    def delete_user_memory(self, memory_id: str, user_id: str | None = None) -> bool:
        """Forget a memory of a user, and say whether there was one.

        Args:
            memory_id: the memory.
            user_id: the user.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be deleted.
        """
        return finished(self.adelete_user_memory(memory_id, user_id))

    def clear(self, user_id: str | None = None) -> int:
        """Forget everything of a user, and say how many memories that was.

        Args:
            user_id: the user. Of all users only ``db.clear_memories()`` forgets everything.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: it could not be deleted.
        """
        return finished(self.aclear(user_id))

    def create_user_memories(
        self,
        message: str | None = None,
        messages: Sequence[Message] | None = None,
        user_id: str | None = None,
    ) -> str:
        """Have the model draw memories out of what was said, and say what has changed.

        Args:
            message: what the user said.
            messages: or several messages.
            user_id: the user.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: nothing was said, or ``user_id`` cannot be an id.
            ModelError: the model failed.
            DatabaseError: they could not be stored; nothing has changed.
        """
        return finished(self.acreate_user_memories(message, messages, user_id))

    def update_memory_task(self, task: str, user_id: str | None = None) -> str:
        """Have the model do something with the memories of a user, and say what has changed.

        Args:
            task: what, as in ``"Forget where she lives."``
            user_id: the user.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: there is no task, or ``user_id`` cannot be an id.
            ModelError: the model failed.
            DatabaseError: it could not be stored; nothing has changed.
        """
        return finished(self.aupdate_memory_task(task, user_id))

    def search_user_memories(
        self,
        query: str | None = None,
        limit: int | None = None,
        retrieval_method: Retrieval | None = None,
        user_id: str | None = None,
    ) -> list[UserMemory]:
        """Return memories of a user.

        Args:
            query: what is looked for.
            limit: how many at most; by default all.
            retrieval_method: ``"last_n"``, those that were changed last, or ``"first_n"``, first;
                ``"search"``, those with all words of the query; ``"agentic"``, those that the model
                chooses for it. By default ``"search"`` where there is a query, else ``"last_n"``.
            user_id: the user.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: an argument cannot be used.
            ModelError: the model failed.
            DatabaseError: they could not be read.
        """
        return finished(self.asearch_user_memories(query, limit, retrieval_method, user_id))

    def optimize_memories(self, user_id: str | None = None, apply: bool = True) -> list[UserMemory]:
        """Have the model make fewer memories of those of a user, and return them.

        Those that change meanwhile stay beside them.

        Args:
            user_id: the user.
            apply: False to change nothing, and look at what would be remembered.

        Raises:
            ConfigurationError: the manager has no db.
            InvalidInputError: ``user_id`` cannot be an id.
            ModelError: the model failed, or answered nothing that can be used.
            DatabaseError: they could not be stored; nothing has changed.
        """
        return finished(self.aoptimize_memories(user_id, apply))
