"""A stream of a background run, left in the middle and read on from where it was left."""

import asyncio

from kern.agent import Agent, RunEvent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

narrator = Agent(
    name="Narrator",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/narrator.db"),
)


async def main() -> None:
    """Read the first event of a run, go away, come back for the others."""
    run_id, last = None, 0
    async for event in narrator.arun(
        "Tell a tale of three sentences.", stream=True, stream_events=True, background=True
    ):
        run_id, last = event.run_id, event.seq
        print("read:", event.event)
        break

    run = await narrator.await_run(run_id)  # it has gone on without a reader
    print("meanwhile:", run.status.value)
    async for event in narrator.astream_run(run_id, after=last):
        if event.event == RunEvent.run_content:
            print("text:", event.content)
        elif event.event == RunEvent.run_completed:
            print("end:", event.content)


if __name__ == "__main__":
    asyncio.run(main())
