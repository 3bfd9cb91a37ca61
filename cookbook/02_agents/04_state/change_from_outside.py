"""Read and change a session's state between runs, from any process that has the database."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

host = Agent(
    name="Quiz host",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/quiz.db"),
    instructions="The score is {score}, round {round}. Ask the next question.",
    session_state={"score": {"red": 0, "blue": 0}, "round": 1},
)

replacing = Agent(
    name="Quiz host",  # the same agent by its id, with another rule
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/quiz.db"),
    instructions="The state is {round}.",
    overwrite_db_session_state=True,
)

if __name__ == "__main__":
    host.run("Begin.", session_id="friday")
    host.update_session_state({"score": {"red": 1, "blue": 0}, "round": 2}, session_id="friday")
    run = host.run("Go on.", session_id="friday")
    print(run.messages[0].content)

    replacing.run("Start anew.", session_id="friday", session_state={"round": 1})
    print(replacing.get_session_state(session_id="friday"))
