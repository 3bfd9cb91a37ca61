"""Hand a conversation over: another agent answers, and is shown what the first one knew."""

from kern.agent import Agent, Handoff
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

repairs = Agent(
    name="Repairs",
    role="mends what is broken",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Ask for the serial number.",
)

sales = Agent(name="Sales", role="sells what is new", model=OpenAIResponses(id="gpt-5.4-mini"))

reception = Agent(
    name="Reception",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    db=SqliteDb("tmp/reception.db"),
    handoffs=[repairs, Handoff(sales, input_filter=lambda messages: messages[-1:])],
)

if __name__ == "__main__":
    for wish in ("My kettle does not boil.", "I want a new kettle."):
        run = reception.run(wish)
        child = reception.get_run_output(run.tools[0].child_run_id)
        print(f"{child.agent_name}: {run.content}")
