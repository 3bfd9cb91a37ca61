"""A stream of a run has the events of its sub-agents in it, each with the run of its own."""

from kern.agent import Agent, RunEvent
from kern.models.openai import OpenAIResponses

translator = Agent(name="Translator", model=OpenAIResponses(id="gpt-5.4-nano"))
host = Agent(
    name="Host",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[translator.as_tool("translate", "Translate into German.")],
)

if __name__ == "__main__":
    for event in host.run("How do I say hello?", stream=True, stream_events=True):
        depth = 0 if event.parent_run_id is None else 1
        if event.event in {RunEvent.run_started, RunEvent.run_completed}:
            print("  " * depth + event.agent_name, event.event)
        elif event.event == RunEvent.run_content:
            print("  " * depth + event.agent_name, "says", event.content)
