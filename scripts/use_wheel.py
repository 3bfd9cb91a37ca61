"""Uses kern as its wheel has installed it: check_wheel.sh runs this outside the checkout."""

import asyncio
import sys
from importlib.resources import files

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb  # noqa: F401 # only that it can be imported
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


async def main() -> None:
    """Have a run complete in the background."""
    where = files("kern")
    assert str(where).startswith(sys.prefix), f"this is not the wheel's kern: {where}"
    assert where.joinpath("py.typed").is_file(), "the wheel has no py.typed"
    async with ResponsesServer([Reply.text("Paris.")]) as server:
        model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        agent = Agent("Wheel", model, db=InMemoryDb())
        run = await agent.arun("What is the capital of France?", background=True)
        ended = await agent.await_run(run.run_id, timeout=30)
        assert ended is not None
        assert (ended.status, ended.content) == (RunStatus.completed, "Paris."), ended


asyncio.run(main())
