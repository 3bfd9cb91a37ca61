"""A call that was under way when its process died: by its tool's rule it is not made a second time.

Kill this script when it prints "ringing", and start it again: the model is told that the outcome is
not known. The default, `on_interrupt="retry"`, would make the call again, with the same idempotency
key; "pause" waits for a person to say what happened.
"""

import time

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(on_interrupt="fail")
def ring_the_alarm(minutes: float) -> str:
    """Ring the alarm in the valley, which nobody should hear twice.

    Args:
        minutes: how long.
    """
    print("ringing", flush=True)
    time.sleep(minutes)
    return "It was heard."


warden = Agent(
    name="Dam warden",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/dam.db"),
    tools=[ring_the_alarm],
)

if __name__ == "__main__":
    warden.run("The water rises.", run_id="flood", background=True)
    run = warden.wait_run("flood")
    print(run.tools[0].tool_call_error, run.status.value, run.content)
