"""What the last steps of a long run cost in kern's own code, against the first."""

from collections.abc import AsyncIterator

import pytest
from instructions import Count, counting

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

_EARLY, _LATE = 5, 200

# Some steps are dearer than their neighbours, for what the loop does meanwhile.
_AROUND = 3


class _Meter:
    """A tool that notes how much was counted by each of its calls."""

    def __init__(self) -> None:
        self.count = Count()
        self.readings: list[int] = []

    async def look(self, place: int) -> str:
        """Look at a place."""
        self.readings.append(self.count.instructions)
        return f"There is nothing at {place}."

    def step(self, number: int) -> int:
        """Return what a step took, from its tool call to the next."""
        spans = [
            self.readings[each] - self.readings[each - 1]
            for each in range(number - _AROUND, number + 1)
        ]
        return min(spans)


@pytest.fixture
async def model(server: ResponsesServer) -> AsyncIterator[OpenAIResponses]:
    """A model that asks for one tool call after another."""
    server.script += [Reply.tool_calls(("look", {"place": place})) for place in range(_LATE)]
    async with OpenAIResponses("any", base_url=server.base_url, api_key="none") as model:
        yield model


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_two_hundredth_step_costs_at_most_twice_the_fifth(
    model: OpenAIResponses, streamed: bool
) -> None:
    meter = _Meter()
    agent = Agent(
        "Counted",
        model,
        db=InMemoryDb(),
        tools=[meter.look],
        max_turns=None,
        tool_call_limit=2 * _LATE,
    )
    with counting() as meter.count:
        if streamed:
            async for _ in agent.arun("Look everywhere.", stream=True):
                pass
        else:
            run = await agent.arun("Look everywhere.", background=True)
            ended = await agent.await_run(run.run_id, timeout=60)
            assert ended is not None
            assert ended.status is RunStatus.completed, ended.error
    assert len(meter.readings) == _LATE
    early, late = meter.step(_EARLY), meter.step(_LATE - 1)
    assert late <= 2 * early, f"step {_EARLY} takes {early} instructions, step {_LATE} {late}"
