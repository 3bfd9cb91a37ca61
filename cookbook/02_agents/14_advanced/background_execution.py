"""Run an agent in the background: poll it, be told of its end, cancel it, cancel it early.

    ./scripts/demo.sh

runs this with a real PostgreSQL and a real model, without a key. By hand it needs a PostgreSQL
(./cookbook/scripts/run_pgvector.sh, or DATABASE_URL) and OPENAI_API_KEY.
"""

import asyncio
import os
from uuid import uuid4

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.cancel import cancel_run

agent = Agent(
    name="Researcher",
    model=OpenAIResponses(id="gpt-5-mini"),
    description="You answer briefly and correctly.",
    db=PostgresDb(os.environ.get("DATABASE_URL", "postgresql://ai:ai@localhost:5532/ai")),
)


async def poll() -> None:
    """Start a run, do something else, and look at it now and then."""
    print("1. Start a run and poll it")
    run = await agent.arun("What is the capital of France?", background=True)
    print(f"   accepted as {run.run_id}: {run.status}")
    while not run.is_terminal:
        await asyncio.sleep(0.5)
        found = await agent.aget_run_output(run.run_id)
        assert found is not None
        run = found
        print(f"   {run.status}")
    print(f"   answer: {run.content}\n")
    assert run.status is RunStatus.completed, run.error


async def wait() -> None:
    """Start three runs at once, and be told when each ends."""
    print("2. Start three runs and wait for them")
    countries = ["Japan", "Norway", "Egypt"]
    runs = [
        await agent.arun(f"What is the capital of {country}?", background=True)
        for country in countries
    ]
    for run in await asyncio.gather(*(agent.await_run(each.run_id) for each in runs)):
        assert run is not None
        print(f"   {run.status}: {run.content}")
    print()


async def cancel() -> None:
    """Stop a run in the middle of its model call."""
    print("3. Cancel a run while the model is writing")
    run = await agent.arun("Write an essay of 5000 words on the history of tea.", background=True)
    await asyncio.sleep(1)
    print(f"   cancelled: {await agent.acancel_run(run.run_id)}")
    ended = await agent.await_run(run.run_id)
    assert ended is not None
    print(f"   {ended.status}\n")
    assert ended.status is RunStatus.cancelled


async def cancel_before_start() -> None:
    """Cancel a run that has yet to be started, by the id that it will have."""
    print("4. Cancel a run before it starts")
    run_id = str(uuid4())
    cancel_run(run_id)
    run = await agent.arun("This is never sent to the model.", background=True, run_id=run_id)
    print(f"   {run.status}\n")
    assert run.status is RunStatus.cancelled


async def main() -> None:
    """Show it all."""
    await poll()
    await wait()
    await cancel()
    await cancel_before_start()
    print("All examples completed!")


if __name__ == "__main__":
    asyncio.run(main())
