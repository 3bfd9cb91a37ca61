"""Other models after the first: one brings the text into a form, one writes the final answer.

Each is a step of the run with its own usage, and is asked once, also across crashes.
"""

from pydantic import BaseModel

from kern.agent import Agent
from kern.models.openai import OpenAIResponses


class Verdict(BaseModel):
    """What a jury says of a cake."""

    points: int
    reason: str


jury = Agent(
    name="Jury",
    model=OpenAIResponses(id="gpt-5.4"),
    output_schema=Verdict,
    parser_model=OpenAIResponses(id="gpt-5.4-nano"),
)

herald = Agent(
    name="Herald",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    output_model=OpenAIResponses(id="gpt-5.4"),
    output_model_prompt="Write it as a herald would call it out.",
)

if __name__ == "__main__":
    run = jury.run("The plum cake was fine, the crust a little dark.")
    print(run.content.points, run.content.reason)
    run = herald.run("Say that the plum cake has won.")
    print(run.content)
    print({kind: [each.id for each in used] for kind, used in run.metrics.details.items()})
