"""Who keeps the memories of users, and how."""

from kern.keywords import public
from kern.memory.capture import Capture
from kern.memory.managing import ManagedMemories
from kern.memory.sync import SyncManagedMemories

__all__ = ["MemoryManager"]


@public
class MemoryManager(SyncManagedMemories):
    """Who keeps memories of users: which model, what it is told, and what it may do.

    An agent keeps its memories in its own database; without one, as here, the manager has ``db``.
    Every asynchronous method has a synchronous twin without the leading ``a``.

    Attributes:
        model: the model, or its ``"provider:id"``; by default the agent's, without an agent
            ``OpenAIResponses()``.
        system_message: its system message; by default kern's.
        memory_capture_instructions: what is worth remembering, in the place of what kern's says.
        additional_instructions: what it is told beside that.
        db: where the memories are, for who has no agent at hand.
        delete_memories: whether it may forget one.
        update_memories: whether it may change one.
        add_memories: whether it may add one.
        clear_memories: whether it may forget all.

    Raises:
        ConfigurationError: a keyword cannot be used.

    Example:
        >>> from kern.db.in_memory import InMemoryDb
        >>> from kern.memory import UserMemory
        >>> manager = MemoryManager(db=InMemoryDb())
        >>> _ = manager.add_user_memory(UserMemory("Drinks tea."), user_id="ada")
        >>> [each.memory for each in manager.get_user_memories("ada")]
        ['Drinks tea.']
    """


def capture_of(manager: ManagedMemories) -> Capture:
    """Return how a manager's model draws memories.

    Raises:
        ConfigurationError: there is no such model.
    """
    return manager._capture
