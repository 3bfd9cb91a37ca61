"""A conversation that goes on: the model is shown the last two runs, and no more."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

librarian = Agent(
    name="Librarian",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/library.db"),
    add_history_to_context=True,
    num_history_runs=2,
)

if __name__ == "__main__":
    questions = [
        "Who wrote Solaris?",
        "In which language?",
        "And what else?",
        "Which of them would you begin with?",
    ]
    for question in questions:
        run = librarian.run(question, session_id="shelf-7", user_id="noor")
        shown = sum(message.from_history for message in run.messages)
        print(f"{question} {run.content} ({shown} messages of history)")
