"""Refuse input that holds personal data: the model never sees it, and the run ends in ERROR."""

from kern.agent import Agent
from kern.exceptions import CheckTrigger, InputCheckError
from kern.guardrails import PIIDetectionGuardrail
from kern.models.openai import OpenAIResponses

helpdesk = Agent(
    name="Help desk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    pre_hooks=[PIIDetectionGuardrail(custom_patterns={"badge": r"\bB-\d{4}\b"})],
)

if __name__ == "__main__":
    for question in (
        "How do I change my password?",
        "My card is 4111 1111 1111 1111, what now?",
        "Write to jo@example.com, please.",
        "My badge B-2047 is broken.",
    ):
        try:
            print(helpdesk.run(question).content)
        except InputCheckError as error:
            found = error.check_trigger is CheckTrigger.PII_DETECTED
            print("refused:", found, error.run_output.status.value)
