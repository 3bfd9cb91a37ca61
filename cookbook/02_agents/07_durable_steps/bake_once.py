"""Steps inside a tool: each is done once, though the process dies in between.

Kill this script when it prints "the oven is on", and start it again. The tool begins again from its
top; the dough, which was a step that had ended, is not kneaded twice.
"""

import asyncio

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import RunContext


def knead(kilos: float) -> dict[str, float]:
    """Knead; what it returns is JSON, and is kept in the journal of the run."""
    print("kneading", flush=True)
    return {"kilos": kilos, "hydration": 0.7}


async def heat(seconds: float) -> str:
    """Heat the oven."""
    print("the oven is on", flush=True)
    await asyncio.sleep(seconds)
    return "hot"


async def bake(run_context: RunContext, kilos: float) -> str:
    """Bake bread.

    Args:
        kilos: how much.
    """
    dough = await run_context.step("knead", knead, kilos)
    oven = await run_context.step("heat", heat, 1.5)
    return f"{dough['kilos']} kg of bread from a {oven} oven"


baker = Agent(
    name="Night baker",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/bakery.db"),
    tools=[bake],
)

if __name__ == "__main__":
    baker.run("Bake two kilos.", run_id="tonight", background=True)
    run = baker.wait_run("tonight")
    print(run.status.value, run.tools[0].result, "|", run.content)
