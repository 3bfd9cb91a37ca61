"""A stream ends with the pause; what follows the decision is a stream again."""

from kern.agent import Agent, RunEvent, RunPausedEvent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def open_lock(lock: int) -> str:
    """Open a lock of the canal.

    Args:
        lock: its number.
    """
    return "The water runs in."


canal = Agent(
    name="Canal",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/canal.db"),
    tools=[open_lock],
)

if __name__ == "__main__":
    for event in canal.run("A barge waits at lock 4.", stream=True):
        if isinstance(event, RunPausedEvent):
            paused = event
            print(event.event, event.is_paused, event.tools[0].tool_args)

    for requirement in paused.active_requirements:
        requirement.confirm()
    events = canal.continue_run(
        run_id=paused.run_id,
        requirements=paused.requirements,
        stream=True,
        stream_events=True,
    )
    for event in events:
        if event.event == RunEvent.tool_call_completed:
            print("result:", event.tool.result)
        elif event.event == RunEvent.run_content:
            print("text:", event.content)
        elif event.event == RunEvent.run_completed:
            print("the same run:", event.run_id == paused.run_id)
