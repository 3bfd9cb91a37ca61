"""A session is summed up when you say so; what follows begins with the summary."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

guide = Agent(
    name="Guide",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/guide.db"),
    add_history_to_context=True,
    compaction=True,
)

if __name__ == "__main__":
    guide.run("We are two, with a dog.", session_id="trip")
    guide.run("We like rain.", session_id="trip")
    print("summary:", guide.compact("trip").content)
    print(guide.run("Where to?", session_id="trip").content)
