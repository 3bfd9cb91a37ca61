"""Remember a user: what is said in one conversation is known in the next, to nobody else."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

gardener = Agent(
    name="Gardener",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/garden.db"),
    update_memory_on_run=True,
)

if __name__ == "__main__":
    gardener.run("My garden is in the shade all day.", user_id="mia", session_id="spring")
    for memory in gardener.get_user_memories(user_id="mia"):
        print(memory.memory, memory.topics)

    run = gardener.run("What could I plant?", user_id="mia", session_id="summer")
    print("Mia's run is told:", "shade" in run.messages[0].content)
    run = gardener.run("And me?", user_id="leo", session_id="balcony")
    print("Leo's run is told:", any("shade" in each.content for each in run.messages))
