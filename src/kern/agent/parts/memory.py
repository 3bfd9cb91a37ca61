"""What an agent remembers of its users."""

from typing import TYPE_CHECKING

from kern.agent.checks import check_flag
from kern.agent.parts.part import Part
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.execution.memory_rules import MemoryRules
from kern.keywords import shown

if TYPE_CHECKING:
    from kern.memory.manager import MemoryManager


class MemoryPart(Part):
    """What is remembered of users, in the agent's database, for all their conversations.

    Attributes:
        memory_manager: which model draws memories, and how; by default the agent's, and kern's own
            way.
        update_memory_on_run: have memories drawn from each run, once it has its answer.
        enable_user_memories: an older name of that.
        enable_agentic_memory: give the model the tool ``update_user_memory(task)``.
        add_memories_to_context: tell the model what is remembered of the run's user; by default
            where one of the others is given.
    """

    memory_manager: "MemoryManager | None" = None
    update_memory_on_run: bool = False
    enable_user_memories: bool = False
    enable_agentic_memory: bool = False
    add_memories_to_context: bool | None = None

    remembering: MemoryRules | None = None
    tells_memories: bool = False

    def _build(self) -> None:
        for flag in ("update_memory_on_run", "enable_user_memories", "enable_agentic_memory"):
            check_flag(flag, getattr(self, flag))
        on_run = self.update_memory_on_run or self.enable_user_memories
        given = self.__dict__
        given["remembering"] = None
        if on_run or self.enable_agentic_memory or self.memory_manager is not None:
            rules = self._rules(on_run)
            given["remembering"] = rules if on_run or self.enable_agentic_memory else None
        tells = self.add_memories_to_context
        if tells is None:
            tells = on_run or self.enable_agentic_memory or self.memory_manager is not None
        given["tells_memories"] = check_flag("add_memories_to_context", tells)

    def _rules(self, on_run: bool) -> MemoryRules:
        """Return how memories are drawn.

        Raises:
            ConfigurationError: the manager cannot be used.
        """
        from kern.memory.manager import MemoryManager, capture_of

        manager: object = self.memory_manager
        if manager is None:
            manager = MemoryManager()
        if not isinstance(manager, MemoryManager):
            raise ConfigurationError(
                "memory_manager must be MemoryManager(...), not "
                f"{shown(manager, type(manager).__name__)}."
            )
        db: Database | None = getattr(self, "db", None)
        if manager.db is not None and manager.db is not db:
            raise ConfigurationError(
                "The memory manager has another database than its agent, whose memories are kept "
                "with its runs. Give both the same one, or the manager none."
            )
        return MemoryRules(capture_of(manager), on_run, self.enable_agentic_memory)
