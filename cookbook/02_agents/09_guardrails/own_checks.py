"""Guardrails of your own: a class that looks at the input, and a hook that looks at the answer."""

from kern.agent import Agent, RunOutput
from kern.exceptions import CheckTrigger, InputCheckError, OutputCheckError
from kern.guardrails import BaseGuardrail
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunInput


class OnlyChess(BaseGuardrail):
    """Lets questions about chess pass; `async_check` is made of `check` where it is missing."""

    def check(self, run_input: RunInput) -> None:
        """Refuse everything else."""
        text = run_input.input_content_string().lower()
        if not any(word in text for word in ("chess", "rook", "pawn", "queen")):
            raise InputCheckError(
                "This agent talks about chess.",
                check_trigger=CheckTrigger.OFF_TOPIC,
                additional_data={"length": len(text)},
            )


def not_too_long(run_output: RunOutput) -> None:
    """Refuse an answer of more than ten words."""
    if len(run_output.content.split()) > 10:
        raise OutputCheckError("Too long.", check_trigger=CheckTrigger.OUTPUT_NOT_ALLOWED)


coach = Agent(
    name="Chess coach",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    pre_hooks=[OnlyChess()],
    post_hooks=[not_too_long],
)

if __name__ == "__main__":
    for text in ("How does a rook move?", "Who won the race?", "Tell me all about pawns."):
        try:
            print(coach.run(text).content)
        except (InputCheckError, OutputCheckError) as error:
            print(f"{error.check_trigger.value}: {error.message} {error.additional_data}")
