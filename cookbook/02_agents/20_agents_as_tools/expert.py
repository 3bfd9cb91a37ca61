"""An agent as a tool of another: its run is a child, with a journal and an output of its own."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def wind(place: str) -> str:
    """Tell the wind.

    Args:
        place: where.
    """
    return "south-west, 6"


meteorologist = Agent(name="Meteorologist", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[wind])

skipper = Agent(
    name="Skipper",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/sailing.db"),
    tools=[meteorologist.as_tool("ask_meteorologist", "Ask what the weather will be.")],
)

if __name__ == "__main__":
    run = skipper.run("Can we sail to Skagen?")
    [call] = run.tools
    print(call.tool_name, call.tool_args, "->", call.result)
    print(run.content)

    child = skipper.get_run_output(call.child_run_id)
    print(
        child.agent_name, child.parent_run_id == run.run_id, [each.result for each in child.tools]
    )
    print("tokens of both:", run.metrics.total_tokens)
