"""What a model can do with the runs that it has started: look, wait for one, cancel another."""

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

train = Agent(
    name="Train", model=OpenAIResponses(id="gpt-5.4-nano"), description="Asks for trains."
)
ferry = Agent(
    name="Ferry", model=OpenAIResponses(id="gpt-5.4-nano"), description="Asks for ferries."
)
traveller = Agent(
    name="Traveller",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/travel.db"),
    tools=[BackgroundAgents([train, ferry])],
)

if __name__ == "__main__":
    run = traveller.run("Ask for a train and a ferry to Oslo; the first answer will do.")
    for call in run.tools:
        print(call.tool_name, call.child_run_id is not None)
    print(run.content)
    for call in run.tools:
        if call.child_run_id is not None:
            child = traveller.get_run_output(call.child_run_id)
            print(child.agent_name, child.status.value)
