"""A record of what a person has to fill in, or to do elsewhere: the resolution has the values."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/workshop.db")


@approval
@tool(requires_user_input=True, user_input_fields=["price"])
def quote(job: str, price: int) -> str:
    """Tell the customer what a job costs.

    Args:
        job: what is to be done.
        price: what it costs, in euros.
    """
    return f"{job}: {price} euros"


@approval
@tool(external_execution=True)
def test_brakes(bicycle: str) -> str:
    """Test the brakes of a bicycle.

    Args:
        bicycle: whose.
    """
    raise NotImplementedError


workshop = Agent(
    name="Workshop",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=db,
    tools=[quote, test_brakes],
)

RESOLUTIONS = {
    "user_input": {"values": {"price": 80}},
    "external_execution": {"result": "They hold."},
}

if __name__ == "__main__":
    for question in ("What does a new wheel cost?", "Are Ada's brakes safe?"):
        run = workshop.run(question)
        [record], _ = db.get_approvals(run_id=run.run_id)
        db.update_approval(
            record["id"],
            status="approved",
            resolved_by="mechanic",
            resolution_data=RESOLUTIONS[record["pause_type"]],
        )
        run = workshop.continue_run(run_id=run.run_id)
        print(record["pause_type"], "->", run.tools[0].result, "|", run.content)
