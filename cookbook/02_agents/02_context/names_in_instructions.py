"""Names in braces are filled from state, dependencies, metadata and the run; others stay."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses

TEMPLATE = (
    "You plan for {team_name}. This week's hours: {hours}. The tone is {tone}. "
    "Ask {user_id} before you change a shift. Write times like {HH}:{MM}."
)

planner = Agent(
    name="Shift planner",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions=TEMPLATE,
    session_state={"hours": {"Ida": 20, "Jon": 32}},
    dependencies={"team_name": "the night desk"},
    metadata={"tone": "dry"},
)

plain = Agent(
    name="Plain planner",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions=TEMPLATE,
    session_state={"hours": {}},
    resolve_in_context=False,  # the text goes out as it stands
)

if __name__ == "__main__":
    for agent in (planner, plain):
        run = agent.run("Who works on Friday?", user_id="rosa")
        print(run.messages[0].content)
        print(run.content)
