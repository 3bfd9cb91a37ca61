"""The inbox of who decides: list, count, look at and delete records, by agent, user and status."""

from kern.agent import Agent
from kern.approval import approval
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool

db = SqliteDb("tmp/inbox.db")


@approval
@tool
def publish(title: str) -> str:
    """Publish an article.

    Args:
        title: its title.
    """
    return "It is in the paper."


editor = Agent(name="Editor", model=OpenAIResponses(id="gpt-5.4-mini"), db=db, tools=[publish])

if __name__ == "__main__":
    for user in ("ada", "ada", "bob"):
        editor.run("Publish my article.", user_id=user)

    newest, total = db.get_approvals(status="pending", agent_id=editor.id, limit=2, page=1)
    print(len(newest), "of", total)
    print("ada:", db.get_pending_approval_count(user_id="ada"))
    record = db.get_approval(newest[0]["id"])
    print(record["source_type"], record["source_name"], record["context"]["tool_names"])

    db.update_approval(record["id"], status="rejected", resolved_by="chief")
    print("pending:", db.get_pending_approval_count())
    print("rejected:", [each["user_id"] for each in db.get_approvals(status="rejected")[0]])
    print("deleted:", db.delete_approval(record["id"]), db.get_approval(record["id"]))
