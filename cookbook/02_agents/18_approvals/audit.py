"""A record that is made after the fact: nobody waits for it, and it says who decided what."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/pharmacy.db")


@approval(type="audit")
@tool(requires_confirmation=True)
def dispense(drug: str, tablets: int) -> str:
    """Hand out a drug.

    Args:
        drug: which one.
        tablets: how many.
    """
    return f"{tablets} tablets of {drug}"


pharmacy = Agent(name="Pharmacy", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, tools=[dispense])

if __name__ == "__main__":
    for allowed in (True, False):
        run = pharmacy.run("The patient of bed 4 has pain.")
        print("records at the pause:", db.get_approvals(run_id=run.run_id)[1])
        for requirement in run.active_requirements:
            requirement.confirm() if allowed else requirement.reject("Too soon.")
        run = pharmacy.continue_run(run_id=run.run_id, requirements=run.requirements, by="Dr. Lind")
        [record], _ = db.get_approvals(run_id=run.run_id, approval_type="audit")
        print(record["status"], record["resolved_by"], record["tool_args"], "|", run.content)
