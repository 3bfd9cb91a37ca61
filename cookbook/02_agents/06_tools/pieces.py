"""A tool that yields: texts are joined, pieces and own events reach readers as they come."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from kern.agent import Agent, CustomEvent, RunEvent
from kern.models.openai import OpenAIResponses


@dataclass
class LapDone(CustomEvent):
    """A runner has come round."""

    lap: int = 0
    seconds: float = 0.0


def race(laps: int) -> Iterator[str | LapDone]:
    """Run so many laps."""
    for lap in range(1, laps + 1):
        yield LapDone(lap=lap, seconds=61.5)
        yield f"Lap {lap} done. "
    yield "Finished."


async def cheer(times: int) -> AsyncIterator[str]:
    """Cheer so many times; asynchronous generators are tools too."""
    for _ in range(times):
        yield "Hurra! "


stadium = Agent(name="Stadium", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[race, cheer])

if __name__ == "__main__":
    for event in stadium.run("Two laps, and a cheer!", stream=True, stream_events=True):
        if isinstance(event, LapDone):
            print("lap", event.lap, event.seconds, event.event == RunEvent.custom_event)
        elif event.event == RunEvent.tool_call_completed:
            print(event.tool.tool_name, "->", event.tool.result)
        elif event.event == RunEvent.run_completed:
            print(event.content)
