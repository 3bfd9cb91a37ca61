"""Let the model look into this user's earlier sessions: list them, then read one."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

chef = Agent(
    name="Chef",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/recipes.db"),
    search_past_sessions=True,
    num_past_sessions_to_search=5,
    num_past_session_runs_in_search=1,
    instructions="Look into earlier sessions where the user refers to them.",
)

if __name__ == "__main__":
    chef.run("How do I make borscht?", session_id="march", user_id="lena")
    chef.run("What goes with figs?", session_id="april", user_id="lena")
    chef.run("A secret of my own.", session_id="other", user_id="max")

    run = chef.run("What was it that I cooked in March?", session_id="may", user_id="lena")
    for tool in run.tools:
        print(tool.tool_name, tool.tool_args, "->", tool.result)
    print(run.content)
