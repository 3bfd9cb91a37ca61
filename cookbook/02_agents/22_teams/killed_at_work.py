"""A kill while a member works: the team and the member go on, and nothing is done again.

Kill this script when it prints "weighed", and start it again.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.team import Team


def weigh(parcel: str) -> str:
    """Weigh a parcel.

    Args:
        parcel: which one.
    """
    print("weighed", parcel, flush=True)
    return "4 kg"


clerk = Agent(name="Clerk", role="Weighs.", model=OpenAIResponses(id="gpt-5.4-nano"), tools=[weigh])
post = Team(
    [clerk], name="Post office", model=OpenAIResponses("gpt-5.4-mini"), db=SqliteDb("tmp/post.db")
)

if __name__ == "__main__":
    post.run("What does this parcel cost?", run_id="parcel", background=True)
    run = post.wait_run("parcel")
    print(run.status.value, run.content)
    print("members' runs:", len(post.get_member_responses(run)))
