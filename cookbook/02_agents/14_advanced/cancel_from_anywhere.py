"""Stop a run by its id, with no agent in hand, and keep what it wrote."""

import asyncio

from kern.agent import Agent, RunEvent
from kern.models.openai import OpenAIResponses
from kern.run.cancel import acancel_run, get_cancellation_manager

essayist = Agent(name="Essayist", model=OpenAIResponses(id="gpt-5.4-mini"))


async def main() -> None:
    """Cancel a run while it is written."""
    async for event in essayist.arun(
        "Write 5000 words about fog.", stream=True, stream_events=True, run_id="fog"
    ):
        if event.event == RunEvent.run_content:
            print("so far:", event.content)
            print("known:", "fog" in await get_cancellation_manager().aget_active_runs())
            print("cancelled:", await acancel_run("fog"))
        elif event.event == RunEvent.run_cancelled:
            print("event:", event.is_cancelled)


if __name__ == "__main__":
    asyncio.run(main())
