"""One guardrail in three places: on the input, on the answer, and on tool calls and their results.

A tool call that is refused ends no run: the model is told, and may do something else.
"""

from kern.agent import Agent
from kern.exceptions import InputCheckError, OutputCheckError
from kern.guardrails import BaseGuardrail
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunInput


class KeepsTheSecret(BaseGuardrail):
    """Refuses every text in which the secret ingredient is named."""

    def check(self, run_input: RunInput) -> None:
        """Look for it."""
        if "nutmeg" in run_input.input_content_string().lower():
            raise InputCheckError("The ingredient is a secret.")


def recipe(dish: str) -> str:
    """Look a recipe up."""
    return {"soup": "leek, cream, nutmeg", "salad": "cress, oil"}[dish]


guard = KeepsTheSecret()
cook = Agent(
    name="Cook",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[recipe],
    pre_hooks=[guard],
    tool_hooks=[guard],
    post_hooks=[guard],
)

if __name__ == "__main__":
    for question in ("Is there nutmeg in it?", "What is in your soup, and the salad?", "Tell me!"):
        try:
            run = cook.run(question)
        except (InputCheckError, OutputCheckError) as error:
            print(type(error).__name__, error.message)
        else:
            print([tool.tool_call_error for tool in run.tools], run.content)
