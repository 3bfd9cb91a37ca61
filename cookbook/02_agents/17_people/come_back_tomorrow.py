"""A run that waits for days, and goes on in another process.

Start this script: it ends, and the run waits in the database, holding nothing. Start it again, as
often as you like: it shows what the run waits for. With ANSWER=yes or ANSWER=no the run goes on.
"""

import os

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import tool


@tool(requires_confirmation=True)
def sell(picture: str, euros: int) -> str:
    """Sell a picture.

    Args:
        picture: its title.
        euros: its price.
    """
    print("sold:", picture)
    return f"sold for {euros}"


gallery = Agent(
    name="Gallery",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/gallery.db"),
    tools=[sell],
)

if __name__ == "__main__":
    gallery.run("Somebody offers 900 euros for 'Fog'.", run_id="fog", background=True)
    run = gallery.wait_run("fog")
    print(run.status.value, [each.tool_execution.tool_args for each in run.active_requirements])

    answer = os.environ.get("ANSWER")
    if run.is_paused and answer:
        for requirement in run.active_requirements:
            requirement.confirm() if answer == "yes" else requirement.reject("Not below 1000.")
        gallery.continue_run(run_id="fog", requirements=run.requirements)
        run = gallery.wait_run("fog")
        print(run.status.value, run.content)
