"""A run as a stream: the text as it comes, then all of its events by name."""

from kern.agent import Agent, RunCompletedEvent, RunEvent, RunOutput
from kern.models.openai import OpenAIResponses


def tide(harbour: str) -> str:
    """Tell when the next high tide is.

    Args:
        harbour: the name of a harbour.
    """
    return f"High tide at {harbour}: 14:20."


pilot = Agent(name="Pilot", model=OpenAIResponses(id="gpt-5.4-mini"), tools=[tide])

if __name__ == "__main__":
    for event in pilot.run("When may a ship enter Hull?", stream=True):
        if event.event == RunEvent.run_content:
            print(event.content, end="", flush=True)
    print("\n")

    stream = pilot.run(
        "And Leith?",
        stream=True,
        stream_events=True,
        yield_run_output=True,
    )
    for event in stream:
        if isinstance(event, RunOutput):
            print("output:", event.content)
            continue
        print(event.event)
        if event.event == RunEvent.tool_call_completed.value:
            print("  ", event.tool.tool_name, event.tool.tool_args["harbour"], event.tool.result)
        if isinstance(event, RunCompletedEvent):
            print("  ", event.content)
