"""A pause that leaves a record: who is to decide finds it in the database, and decides there."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/archive.db")


@approval
@tool
def burn(box: str) -> str:
    """Burn a box of old files.

    Args:
        box: its label.
    """
    print("burnt:", box)
    return "Nothing is left of it."


archive = Agent(name="Archive", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, tools=[burn])

if __name__ == "__main__":
    run = archive.run("Box 1962 is mouldy.", user_id="clerk")
    [record], total = db.get_approvals(status="pending", run_id=run.run_id)
    print(total, record["tool_name"], record["tool_args"], record["user_id"])
    print("pending:", db.get_pending_approval_count(user_id="clerk"))

    try:
        archive.continue_run(run_id=run.run_id)
    except RunStateError as error:
        print("refused:", error)

    db.update_approval(
        record["id"], expected_status="pending", status="approved", resolved_by="director"
    )
    late = db.update_approval(
        record["id"], expected_status="pending", status="rejected", resolved_by="deputy"
    )
    print("the deputy was late:", late is None)

    run = archive.continue_run(run_id=run.run_id)
    print(run.status.value, run.content, "by", run.metadata["approval"]["resolved_by"])
