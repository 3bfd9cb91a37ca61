"""What a run holds is released with it: nothing of it waits for the garbage collector."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from types import MethodType

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer

# More than a runtime holds of any kind: that of an earlier test may be released meanwhile.
RUNS = 30


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """Keep what only the garbage collector can release."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.enable()
    gc.garbage.clear()


def kind_of(value: object) -> str:
    """Return the name of a value's class; of a method that of what it is bound to."""
    if isinstance(value, MethodType):
        return f"a method of {type(value.__self__).__qualname__}"
    return type(value).__qualname__


def work() -> str:
    """Do it."""
    return "done"


async def background(agent: Agent) -> None:
    run = await agent.arun("Work", background=True)
    await agent.await_run(run.run_id, timeout=20)


async def foreground(agent: Agent) -> None:
    await agent.arun("Work")


async def streamed(agent: Agent) -> None:
    async with aclosing(agent.arun("Work", stream=True, background=True)) as events:
        async for _ in events:
            pass


@pytest.mark.parametrize("make", [background, foreground, streamed])
async def test_a_run_that_has_ended_is_no_garbage(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    make: Callable[[Agent], Awaitable[None]],
    request: pytest.FixtureRequest,
) -> None:
    agent = Agent("Tester", model, db=shared_db, tools=[work])

    async def make_some(count: int) -> None:
        for _ in range(count):
            server.script += [Reply.tool_calls(("work", {})), Reply.text("Well.")]
            await make(agent)

    await make_some(3)
    request.getfixturevalue("_uncollected")
    await make_some(RUNS)
    await asyncio.sleep(0)
    gc.collect()
    kinds = Counter(map(kind_of, gc.garbage))
    assert [kind for kind, count in kinds.items() if count >= RUNS] == []
