"""A summary of the session after each run, told to the model in the next one.

It is a step of its own, made after the answer: where it fails, the run has its answer without it.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

adviser = Agent(
    name="Bike adviser",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/bikes.db"),
    enable_session_summaries=True,
)

if __name__ == "__main__":
    adviser.run("My chain jumps off when I change gear.", session_id="bike")
    summary = adviser.get_session_summary(session_id="bike")
    print(summary.summary, summary.topics)

    run = adviser.run("What do I need to buy?", session_id="bike")
    print("told:", "chain" in run.messages[0].content)
    print(run.content)
    print(sorted(run.metrics.details))
