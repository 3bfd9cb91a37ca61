"""Two people answer at once: one counts, the other is told who was first."""

import asyncio

from kern.agent import Agent, RunOutput
from kern.db.sqlite import SqliteDb
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def ring(bell: str) -> str:
    """Ring a bell.

    Args:
        bell: which one.
    """
    print("ringing")
    return "It rings."


tower = Agent(
    name="Bell tower",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/tower.db"),
    tools=[ring],
)


async def answer(name: str, run: RunOutput) -> str:
    """Answer as one person, by what this person was shown."""
    for requirement in run.active_requirements:
        requirement.confirm()
    try:
        await tower.acontinue_run(run_id="noon", requirements=run.requirements, by=name)
    except RunStateError as error:
        return f"{name} was late: {error}"
    return f"the answer of {name} counts"


async def main() -> None:
    """Have two people answer."""
    await tower.arun("It is noon.", run_id="noon", background=True)
    await tower.await_run("noon")
    shown = [(name, await tower.aget_run_output("noon")) for name in ("ada", "bob")]
    for said in sorted(await asyncio.gather(*(answer(*each) for each in shown)), key=len):
        print(said)
    run = await tower.await_run("noon", until="end")
    print(run.status.value, run.content)


if __name__ == "__main__":
    asyncio.run(main())
