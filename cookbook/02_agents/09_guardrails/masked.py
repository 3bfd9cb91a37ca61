"""Mask personal data in place of refusing it: what the model and the database get has stars."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.guardrails import PIIDetectionGuardrail
from kern.models.openai import OpenAIResponses

reception = Agent(
    name="Reception",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/reception.db"),
    pre_hooks=[PIIDetectionGuardrail(mask_pii=True, enable_email_check=False)],
)

if __name__ == "__main__":
    run = reception.run("Call me on 555-010-2233, or write to jo@example.com.")
    print(run.messages[-2].content)
    print(run.content)
    kept = reception.get_run_output(run.run_id)
    print("kept:", kept.input.input_content_string())
