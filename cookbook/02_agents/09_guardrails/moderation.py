"""Have the provider's moderation look at the input, and refuse it for some of its categories."""

from kern.agent import Agent
from kern.exceptions import InputCheckError
from kern.guardrails import OpenAIModerationGuardrail
from kern.models.openai import OpenAIResponses

forum = Agent(
    name="Forum",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    pre_hooks=[
        OpenAIModerationGuardrail(
            moderation_model="omni-moderation-latest",
            raise_for_categories=["violence", "hate"],
        )
    ],
)

if __name__ == "__main__":
    for text in ("How do I prune a plum tree?", "I am going to hurt my neighbour."):
        try:
            print(forum.run(text).content)
        except InputCheckError as error:
            print("refused:", error.check_trigger.value)
