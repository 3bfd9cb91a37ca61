"""Two runs of one session change different keys at the same time, and neither change is lost."""

import asyncio

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def note_harvest(run_context: RunContext, crop: str, kilos: int) -> str:
    """Note how much of a crop was harvested.

    Args:
        crop: the crop.
        kilos: how much.
    """
    run_context.session_state[crop] = kilos
    return f"{crop}: {kilos} kg"


farmer = Agent(
    name="Farmer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/farm.db"),
    tools=[note_harvest],
    session_state={"season": "autumn"},
    session_policy="parallel",
)


async def main() -> None:
    """Submit two runs, wait for both, look at the state."""
    runs = [
        await farmer.arun(text, session_id="farm", background=True)
        for text in ("We dug up 300 kg of beets.", "We picked 120 kg of pears.")
    ]
    for run in await asyncio.gather(*(farmer.await_run(run.run_id) for run in runs)):
        print(run.status, run.content)
    state = await farmer.aget_session_state(session_id="farm")
    print(sorted(state.items(), key=str))


if __name__ == "__main__":
    asyncio.run(main())
