"""Dependencies of a run in the background: those of the run are JSON, and are kept with it.

Kill this script while it waits, and start it again. The agent's own dependencies may be anything:
they are stored nowhere, so only a process that submits to this agent or serves it has its runs.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.errors import InvalidInputError
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


class Archive:
    """Something that is no JSON."""

    def find(self, year: int) -> str:
        """Find what happened in a year."""
        return {1883: "the bridge was opened"}.get(year, "nothing")


def look_up(run_context: RunContext) -> str:
    """Look the year of this run up."""
    deps = run_context.dependencies
    return deps["archive"].find(deps["year"])


chronicler = Agent(
    name="Chronicler",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/chronicle.db"),
    tools=[look_up],
    dependencies={"archive": Archive()},
)

if __name__ == "__main__":
    try:
        chronicler.run("And?", background=True, dependencies={"archive": Archive()})
    except InvalidInputError as error:
        print("refused:", error)
    chronicler.run("What was then?", run_id="then", background=True, dependencies={"year": 1883})
    run = chronicler.wait_run("then")
    print(run.tools[0].result, "|", run.content)
