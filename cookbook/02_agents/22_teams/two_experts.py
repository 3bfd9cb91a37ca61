"""A team: its leader gives two members a task each, at once, and answers with what they found."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.team import Team

geologist = Agent(
    name="Geologist", role="Knows what is under the ground.", model=OpenAIResponses("gpt-5.4-nano")
)
engineer = Agent(
    name="Engineer", role="Knows how to build on it.", model=OpenAIResponses("gpt-5.4-nano")
)
office = Team(
    [geologist, engineer],
    name="Tunnel office",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="Answer in three sentences.",
    db=SqliteDb("tmp/tunnel.db"),
)

if __name__ == "__main__":
    run = office.run("Can we build a tunnel under the Furka?")
    for call in run.tools:
        print(call.tool_args["member_id"], "->", call.result)
    print(run.content)
    print(sorted(each.agent_name or "" for each in office.get_member_responses(run)))
    print("model calls of all:", run.metrics.model_calls)
