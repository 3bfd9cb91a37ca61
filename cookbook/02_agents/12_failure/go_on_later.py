"""A background run that failed keeps what it has done: retry_run goes on after its last step."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses


def measure(place: str) -> str:
    """Measure the snow at a place."""
    print("measured at", place)
    return "140 cm"


warden = Agent(
    name="Avalanche warden",
    model=OpenAIResponses(id="gpt-5.4-mini", max_retries=0),
    db=SqliteDb("tmp/snow.db"),
    tools=[measure],
)

if __name__ == "__main__":
    run = warden.run("How safe is the pass?", background=True)
    run = warden.wait_run(run.run_id)
    print(run.status.value, run.error)

    warden.retry_run(run.run_id)
    run = warden.wait_run(run.run_id)
    print(run.status.value, run.content)
