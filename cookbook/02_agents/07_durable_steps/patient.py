"""A step with retries and a time limit of its own."""

import asyncio

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

TRIES: list[str] = []


async def call_the_office(number: str) -> str:
    """Call; nobody answers at first, then it is busy."""
    TRIES.append(number)
    if len(TRIES) == 1:
        await asyncio.sleep(60)
    if len(TRIES) == 2:
        raise ConnectionError("The line is busy.")
    return "The office opens at nine."


async def ask_office(run_context: RunContext, number: str) -> str:
    """Ask an office when it opens.

    Args:
        number: its telephone number.
    """
    answer = await run_context.step(
        "call", call_the_office, number, retries=3, delay=0.1, timeout=0.3
    )
    return f"{answer} ({len(TRIES)} tries)"


caller = Agent(
    name="Caller",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/calls.db"),
    tools=[ask_office],
)

if __name__ == "__main__":
    run = caller.run("When does the office at 555 0100 open?")
    print(run.tools[0].result)
    print(run.content)
