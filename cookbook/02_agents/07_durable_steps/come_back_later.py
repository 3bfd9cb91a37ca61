"""A tool that sleeps durably: a long sleep holds no slot, and outlives the process.

Kill this script when it prints "waiting", and start it again. The tool begins again from its top,
but the seed is not sown twice, and the wait ends when it would have.
"""

from datetime import UTC, datetime

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def sow(seed: str) -> str:
    """Sow, and say when."""
    print("sown", flush=True)
    return datetime.now(UTC).isoformat()


async def grow(run_context: RunContext, seed: str) -> str:
    """Sow a seed and come back when it has sprouted.

    Args:
        seed: what to sow.
    """
    sown = await run_context.step("sow", sow, seed)
    print("waiting", flush=True)
    await run_context.sleep(3)
    age = datetime.now(UTC) - datetime.fromisoformat(sown)
    return f"{seed}: {'sprouted' if age.total_seconds() >= 3 else 'nothing to see'}"


farm = Agent(
    name="Window farm",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/window.db"),
    tools=[grow],
)

if __name__ == "__main__":
    farm.run("Grow some cress.", run_id="cress", background=True)
    run = farm.wait_run("cress")
    print(run.status.value, run.tools[0].result, "|", run.content)
