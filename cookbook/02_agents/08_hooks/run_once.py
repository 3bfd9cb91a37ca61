"""A hook that has run does not run again, though the process dies after it.

Kill this script while the model is thinking, and start it again: the invoice is written once.
"""

from kern.agent import Agent, RunOutput
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunInput


def write_invoice(run_input: RunInput) -> None:
    """Do something that must not be done twice."""
    print("invoice for:", run_input.input_content_string(), flush=True)


def file_answer(run_output: RunOutput) -> None:
    """File the answer."""
    print("filed:", run_output.content, flush=True)


notary = Agent(
    name="Notary",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/notary.db"),
    pre_hooks=[write_invoice],
    post_hooks=[file_answer],
)

if __name__ == "__main__":
    notary.run("A will for Mr Grey.", run_id="grey", background=True)
    print(notary.wait_run("grey").status.value)
