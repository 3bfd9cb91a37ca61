"""Dependencies for tools, hooks and instructions; one that is a function is called per run."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run import RunContext

ASKED: list[str] = []


def menu_of_the_day(run_context: RunContext) -> list[str]:
    """Look the menu up; called once a run, before its hooks."""
    ASKED.append(run_context.run_id)
    return ["lentils", "trout"]


def price(dish: str, run_context: RunContext) -> str:
    """Tell what a dish costs."""
    prices = run_context.dependencies["prices"]
    known = run_context.dependencies["menu"]
    return f"{prices[dish]} euros" if dish in known else "not today"


canteen = Agent(
    name="Canteen",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[price],
    instructions="Today there is: {menu}",
    dependencies={"menu": menu_of_the_day, "prices": {"lentils": 6, "trout": 11}},
)

if __name__ == "__main__":
    run = canteen.run("What does the trout cost?")
    print(run.messages[0].content)
    print(run.tools[0].result, run.content)
    run = canteen.run("And now?", dependencies={"menu": ["soup"]})  # merged over the agent's
    print(run.messages[0].content)
    print("looked up:", len(ASKED))
