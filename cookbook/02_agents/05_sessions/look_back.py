"""Tools with which the model reads its own chat and the calls that it has made."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def roll(sides: int) -> int:
    """Roll a die that always shows its highest number.

    Args:
        sides: how many sides it has.
    """
    return sides


game_master = Agent(
    name="Game master",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/game.db"),
    tools=[roll],
    read_chat_history=True,
    read_tool_call_history=True,
)

if __name__ == "__main__":
    game_master.run("Roll for the dragon.", session_id="cave")
    run = game_master.run("What did I ask first, and what was rolled?", session_id="cave")
    for tool in run.tools:
        print(tool.tool_name, "->", tool.result)
    print(run.content)
