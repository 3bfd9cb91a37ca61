"""A second model thinks first; the agent's own answers by its thoughts."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

planner = Agent(
    name="Planner",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    reasoning_model=OpenAIResponses(id="gpt-5.4", reasoning_effort="high"),
    instructions="Plan day trips from Graz by train.",
)

if __name__ == "__main__":
    run = planner.run("A lake, a castle, and home by eight?")
    for step in run.reasoning_steps or []:
        print(f"{step.title} ({step.confidence:.0%}): {step.reasoning}")
    print(run.content)
    used = run.metrics.details
    print({kind: models[0].id for kind, models in used.items()})
