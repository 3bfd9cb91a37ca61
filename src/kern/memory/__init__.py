"""What is remembered of users: values, and how a model comes to them; ``kern.db`` keeps them.

Every agent with a database knows the values; the manager is loaded once somebody asks for it.
"""

from typing import TYPE_CHECKING

from kern.memory.user_memory import UserMemory

if TYPE_CHECKING:
    from kern.memory.manager import MemoryManager

__all__ = ["MemoryManager", "UserMemory"]


def __getattr__(name: str) -> object:
    if name == "MemoryManager":
        from kern.memory.manager import MemoryManager

        return MemoryManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
