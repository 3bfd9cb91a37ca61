"""The agent's own model thinks in steps first, and each is an event."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent

riddler = Agent(
    name="Riddler",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    reasoning=True,
    reasoning_min_steps=2,
    reasoning_max_steps=5,
)

if __name__ == "__main__":
    question = "Three switches, one lamp next door, one look. Which switch is it?"
    for event in riddler.run(question, stream=True, stream_events=True):
        if event.event == RunEvent.reasoning_step:
            print("thinks:", event.reasoning_content)
        elif event.event == RunEvent.run_content:
            print(event.content, end="")
    print()
