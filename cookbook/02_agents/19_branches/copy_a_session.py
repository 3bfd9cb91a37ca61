"""Copy a conversation: both go on from there, and neither changes the other."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

writer = Agent(
    name="Writer",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/plot.db"),
    add_history_to_context=True,
    session_state={"hero": "Ida"},
)

if __name__ == "__main__":
    writer.run("Ida finds a map.", session_id="plot")
    other = writer.fork_session(source_session_id="plot")
    writer.update_session_state({"hero": "Otto"}, session_id=other)

    writer.run("She burns it.", session_id="plot")
    run = writer.run("She follows it.", session_id=other)
    print([each.content for each in run.messages if each.role == "user"])
    print(len(writer.get_session("plot").runs), len(writer.get_session(other).runs))
    copied = writer.get_session(other)
    print("from:", copied.session_data["forked_from_session_id"])
    states = [writer.get_session_state(session_id=each) for each in ("plot", other)]
    print([state["hero"] for state in states])
