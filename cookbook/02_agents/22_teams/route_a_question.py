"""A team that routes: its leader chooses a member, whose answer is the answer of the run."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.team import Team

trains = Agent(name="Trains", role="Knows the timetable.", model=OpenAIResponses(id="gpt-5.4-nano"))
lost = Agent(
    name="Lost property", role="Looks for what was left.", model=OpenAIResponses("gpt-5.4-nano")
)
counter = Team(
    [trains, lost],
    name="Counter",
    model=OpenAIResponses(id="gpt-5.4-nano"),
    mode="route",
    determine_input_for_members=False,  # The member is asked what the user has asked.
)

if __name__ == "__main__":
    run = counter.run("I have left my umbrella on the train from Chur.")
    print(run.tools[0].tool_args["member_id"], "|", run.content)
