"""A background run goes on by itself once its record is resolved, from whichever process."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/museum.db")


@approval(type="required")
@tool
def lend_out(piece: str, museum: str) -> str:
    """Lend a piece to another museum.

    Args:
        piece: what is lent.
        museum: to whom.
    """
    return f"The {piece} travels to {museum}."


curator = Agent(name="Curator", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, tools=[lend_out])

if __name__ == "__main__":
    for piece, decision in (("vase", "approved"), ("mask", "rejected")):
        run = curator.run(f"Oslo asks for the {piece}.", background=True)
        run = curator.wait_run(run.run_id)
        [record], _ = db.get_approvals(run_id=run.run_id)
        print(run.status.value, record["status"], record["pause_type"])

        # In a shell: kern approvals approve ID
        db.update_approval(record["id"], "pending", status=decision, resolved_by="board")
        run = curator.wait_run(run.run_id, until="end")
        print(run.status.value, run.content)
