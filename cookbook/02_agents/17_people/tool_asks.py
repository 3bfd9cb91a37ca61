"""A tool that finds out by itself that it needs a person: it raises, and is called again."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.exceptions import ApprovalRequired
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

LOANS = {"atlas": 4, "novel": 0}


def renew(run_context: RunContext, book: str) -> str:
    """Lend a book for longer.

    Args:
        book: which one.
    """
    if LOANS[book] > 3 and not run_context.is_approved:
        raise ApprovalRequired(f"The {book} has been renewed {LOANS[book]} times.")
    return f"The {book} may stay three weeks more."


def quiet_hours(function_name: str, function: object, arguments: dict, run_context: RunContext):
    """A hook may ask a person as well."""
    if run_context.user_id == "child" and not run_context.is_approved:
        raise ApprovalRequired(f"May a child call {function_name}?")
    return function(**arguments)


library = Agent(
    name="Library",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/loans.db"),
    tools=[renew],
    tool_hooks=[quiet_hours],
)

if __name__ == "__main__":
    for user, wish in (("ada", "Renew the atlas."), ("child", "Renew the novel.")):
        run = library.run(wish, user_id=user)
        [requirement] = run.active_requirements
        print(run.status.value, requirement.kind, requirement.message)
        requirement.confirm()
        run = library.continue_run(run_response=run)
        print(run.tools[0].result, run.content)
