"""Go another way from a run that has ended: a new run begins with what the old one knew."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def look_up(town: str) -> str:
    """Look up a town.

    Args:
        town: its name.
    """
    print("looked up:", town)
    return f"{town}: 40,000 people, one theatre"


guide = Agent(
    name="Town guide",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/towns.db"),
    tools=[look_up],
)

if __name__ == "__main__":
    first = guide.run("Tell me of Weimar.", session_id="towns")
    print(first.content)

    same = guide.continue_run(run_id=first.run_id, session_id="towns")
    print("nothing to do:", same.run_id == first.run_id)

    branch = guide.continue_run(
        run_id=first.run_id, session_id="towns", input="The same as a poem, please."
    )
    print(branch.content)
    print(branch.run_id != first.run_id, branch.forked_from_run_id == first.run_id)
    print("from message", branch.forked_from_message_index, "of", len(first.messages))
    print("as it was:", guide.get_run_output(first.run_id, "towns").content)
