"""Let the model decide what to remember: it has a tool for it, and says what is to be done."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

barber = Agent(
    name="Barber",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/barber.db"),
    enable_agentic_memory=True,
)

if __name__ == "__main__":
    run = barber.run("Short at the sides, as always. Remember that.", user_id="noah")
    for call in run.tools:
        print(call.tool_name, call.tool_args, "->", call.result)
    print(run.content)
    print([each.memory for each in barber.get_user_memories(user_id="noah")])
