"""Say who keeps the memories: a cheaper model, what is worth remembering; and it may forget."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.memory import MemoryManager
from kern.models.openai import OpenAIResponses

librarian = MemoryManager(
    model=OpenAIResponses(id="gpt-5.4-nano"),
    memory_capture_instructions="Remember which books the user has read, and what for.",
    additional_instructions="Never remember a name.",
    delete_memories=True,
)

reader = Agent(
    name="Reading adviser",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/books.db"),
    memory_manager=librarian,
    update_memory_on_run=True,
    add_memories_to_context=False,  # kept, and not told
)

if __name__ == "__main__":
    for said in ("I have read Middlemarch.", "Forget that, it was Emma."):
        run = reader.run(said, user_id="ines")
        print([each.memory for each in reader.get_user_memories(user_id="ines")])
    print(sorted(run.metrics.details))
