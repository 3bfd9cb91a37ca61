"""Suggestions of what to ask next, made after the answer."""

from kern.agent import Agent, FollowupConfig
from kern.models.openai import OpenAIResponses

teacher = Agent(
    name="Teacher",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    followups=FollowupConfig(
        model=OpenAIResponses(id="gpt-5.4-nano"),
        instructions="Suggest questions that a pupil of ten would ask.",
        num_followups=2,
    ),
)

if __name__ == "__main__":
    run = teacher.run("Why do leaves fall?")
    print(run.content)
    for question in run.followups:
        print("-", question)
