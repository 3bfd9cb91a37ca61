"""Dependencies of a run in the background are JSON, and are kept with it.

Kill this script while it waits, and start it again. What is no JSON (a connection, an object) is
given to the agent; then its runs are executed by a process that has been told to serve the agent
(`kern worker module:agent`), for nobody else has that object.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.errors import InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

CHRONICLE = {1883: "the bridge was opened", 1901: "the mill burned down"}


def look_up(run_context: RunContext) -> str:
    """Look the year of this run up."""
    return CHRONICLE[run_context.dependencies["year"]]


chronicler = Agent(
    name="Chronicler",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/chronicle.db"),
    tools=[look_up],
)

if __name__ == "__main__":
    try:
        chronicler.run("And?", background=True, dependencies={"lamp": object()})
    except InvalidInputError as error:
        print("refused:", error)
    chronicler.run("What was then?", run_id="then", background=True, dependencies={"year": 1883})
    run = chronicler.wait_run("then")
    print(run.tools[0].result, "|", run.content)
