"""What is remembered of users: values, and how a model comes to them; ``kern.db`` keeps them."""

from kern.memory.manager import MemoryManager
from kern.memory.user_memory import UserMemory

__all__ = ["MemoryManager", "UserMemory"]
