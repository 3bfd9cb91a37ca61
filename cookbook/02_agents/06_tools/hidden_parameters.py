"""Parameters that the model is not shown: kern gives them, by name or by type."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.tools import tool


def lend(title: str, agent: Agent, run_context: RunContext) -> str:
    """Lend a book.

    Args:
        title: its title.
    """
    shelf = run_context.dependencies["shelf"]
    shelf.remove(title)
    return f"{agent.name} lends {title!r} to {run_context.user_id}; {len(shelf)} left"


@tool
async def stamp(days: int, where: RunContext) -> str:
    """Stamp the date of return; the context is known by its type, whatever it is called.

    Args:
        days: from today.
    """
    return f"in {days} days, key of the call: {bool(where.idempotency_key)}"


library = Agent(
    name="Village library",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[lend, stamp],
    dependencies={"shelf": ["Emma", "Ivanhoe", "Middlemarch"]},
)

if __name__ == "__main__":
    run = library.run("I take Emma for two weeks.", user_id="tom")
    for tool_run in run.tools:
        print(tool_run.tool_name, sorted(tool_run.tool_args), "->", tool_run.result)
    print(run.content)
