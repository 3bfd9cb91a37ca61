"""An agent's method for what is remembered of its users."""

from typing import cast

from kern.agent.definition import AgentDefinition
from kern.db.memory_methods import MemoryMethods
from kern.errors import ConfigurationError
from kern.memory.user_memory import UserMemory, user_of
from kern.run.agent import Output
from kern.run.base import Deps


class UserMemories(AgentDefinition[Deps, Output]):
    """What is remembered of users."""

    async def aget_user_memories(self, user_id: str | None = None) -> list[UserMemory]:
        """Return what is remembered of a user, the last changed first.

        Args:
            user_id: the user; by default the agent's, or else ``"default"``, whose memories are
                those of runs without a user.

        Raises:
            ConfigurationError: the agent has no db.
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: it could not be read.
        """
        if self.db is None:
            raise ConfigurationError(
                "Memories need a database: Agent(..., db=PostgresDb(db_url=...)), or SqliteDb or "
                "InMemoryDb."
            )
        db = cast("MemoryMethods", self.db)
        return await db.aget_user_memories(user_of(user_id or self.user_id))
