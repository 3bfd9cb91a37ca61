"""Generated from ``kern/agent/memories.py`` by ``scripts/generate_sync.py``."""

from kern.agent.blocking import blocking
from kern.agent.memories import UserMemories
from kern.memory.user_memory import UserMemory
from kern.run.agent import Output
from kern.run.base import Deps


class SyncUserMemories(UserMemories[Deps, Output]):
    """The methods of :class:`UserMemories`, for code without an event loop."""

    def get_user_memories(self, user_id: str | None = None) -> list[UserMemory]:
        """Return what is remembered of a user, the last changed first.

        Args:
            user_id: the user; by default the agent's, or else ``"default"``, whose memories are
                those of runs without a user.

        Raises:
            ConfigurationError: the agent has no db.
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: it could not be read.
        """
        return blocking("await agent.aget_user_memories(...)").call(
            self.aget_user_memories(user_id)
        )
