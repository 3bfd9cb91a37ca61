"""Make fewer memories of many: look at what a model would make of them first, then have it done."""

from kern.db.sqlite import SqliteDb
from kern.memory import MemoryManager, UserMemory
from kern.models.openai import OpenAIResponses

manager = MemoryManager(model=OpenAIResponses(id="gpt-5.4-mini"), db=SqliteDb("tmp/trips.db"))

if __name__ == "__main__":
    for text in ("Was in Oslo.", "Was in Oslo in May.", "Prefers trains."):
        manager.add_user_memory(UserMemory(text), user_id="eli")
    would_be = manager.optimize_memories(user_id="eli", apply=False)
    print("would be:", [each.memory for each in would_be])
    print("are:", len(manager.get_user_memories(user_id="eli")))
    manager.optimize_memories(user_id="eli")
    print("are:", [each.memory for each in manager.get_user_memories(user_id="eli")])
