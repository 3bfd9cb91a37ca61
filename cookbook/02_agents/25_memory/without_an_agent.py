"""A memory manager alone: keep, change, find and forget memories, by hand or by its model."""

from kern.db.sqlite import SqliteDb
from kern.memory import MemoryManager, UserMemory
from kern.models.openai import OpenAIResponses

manager = MemoryManager(
    model=OpenAIResponses(id="gpt-5.4-mini"), db=SqliteDb("tmp/riders.db"), delete_memories=True
)


def known() -> list[str]:
    return [each.memory for each in manager.get_user_memories(user_id="kim")]


if __name__ == "__main__":
    horse = manager.add_user_memory(UserMemory("Rides Bella.", topics=["horses"]), user_id="kim")
    manager.replace_user_memory(horse, UserMemory("Rides Bruno.", topics=["horses"]), "kim")
    print(known())
    print(manager.create_user_memories("I can come on Mondays only.", user_id="kim"))
    print(manager.update_memory_task("Forget which horse it is.", user_id="kim"))
    found = manager.search_user_memories("monday", user_id="kim")
    print([each.memory for each in found])
    found = manager.search_user_memories(
        "When is there time?", retrieval_method="agentic", user_id="kim"
    )
    print([each.memory for each in found])
    print(manager.clear(user_id="kim"), known())
