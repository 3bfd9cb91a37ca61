"""A strict approval: only the record decides, whatever code passes to the run."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/bank.db")


@approval(strict=True)
@tool
def transfer(euros: int, to: str) -> str:
    """Transfer money.

    Args:
        euros: how much.
        to: to whom.
    """
    return f"{euros} euros are on their way to {to}."


teller = Agent(name="Teller", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, tools=[transfer])

if __name__ == "__main__":
    run = teller.run("Pay the roofer.")
    for requirement in run.active_requirements:
        requirement.confirm()
    try:
        teller.continue_run(run_id=run.run_id, requirements=run.requirements)
    except RunStateError as error:
        print("refused:", error)

    [record], _ = db.get_approvals(run_id=run.run_id)
    db.update_approval(record["id"], "pending", status="approved", resolved_by="manager")
    run = teller.continue_run(run_id=run.run_id)
    print(run.status.value, run.content)
