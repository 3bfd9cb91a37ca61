"""Members that depend on the run: a function names them, here by who asks."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext
from kern.team import Team

MODEL = OpenAIResponses(id="gpt-5.4-nano")
guide = Agent(name="Guide", role="Tells what there is to see.", model=MODEL)
curator = Agent(name="Curator", role="Opens the archive.", model=MODEL)


def staff(run_context: RunContext) -> list[Agent]:
    """Return who is there for a user."""
    return [guide, curator] if run_context.user_id == "director" else [guide]


museum = Team(staff, name="Museum", model=MODEL, mode="route")

if __name__ == "__main__":
    for user_id in ("visitor", "director"):
        run = museum.run("Who was the painter?", user_id=user_id)
        print(user_id, "|", run.content)
