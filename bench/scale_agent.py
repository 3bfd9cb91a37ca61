"""The agent that ``scale.py`` measures, as ``kern worker`` loads it, and the model behind it.

    python bench/scale_agent.py     # the model: prints its base URL and serves until SIGTERM

The model does what the input says: ``calls 3, wait 0.5, answer 800`` asks for three tool calls, one
a turn, takes 0.5 s for each of its answers, and ends with a text of 800 bytes.
"""

import asyncio
import os
import random
import re
import signal
from typing import Any

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

SCHEMA, TABLE = "kern_scale", "scale"

_ORDER = re.compile(r"calls (\d+), wait ([\d.]+), answer (\d+)")


@tool
def look_up(number: int) -> str:
    """Look something up.

    Args:
        number: what to look up.
    """
    return f"The answer to {number} is {number * number}."


def make_agent(database: str, model: str) -> Agent:
    """Return the agent, on tables of its own.

    Args:
        database: the URL of the database.
        model: the base URL of the model.
    """
    return Agent(
        "Scale",
        OpenAIResponses("any", base_url=model, api_key="none"),
        tools=[look_up],
        db=PostgresDb(database, TABLE, SCHEMA),
    )


def text_of(size: int) -> str:
    """Return a text of ``size`` bytes that compresses about as well as prose."""
    chosen = random.Random(size)
    words = ["".join(chosen.choices("etaoinshrdlucmfwyp", k=2 + n % 8)) for n in range(400)]
    return " ".join(chosen.choices(words, k=size // 4 + 1))[:size]


def _reply(body: dict[str, Any]) -> Reply:
    given = body["input"]
    items = [{"content": given}] if isinstance(given, str) else given
    order = _ORDER.search(str(items))
    assert order is not None, "the input says what to do"
    calls, wait, size = int(order[1]), float(order[2]), int(order[3])
    made = sum(item.get("type") == "function_call_output" for item in items)
    if made < calls:
        return Reply.tool_calls(("look_up", {"number": made})).slow(wait)
    return Reply.text(text_of(size)).slow(wait)


async def _serve() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ResponsesServer(default=_reply, record=False) as server:
        print(server.base_url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
elif "SCALE_DATABASE" in os.environ:
    agent = make_agent(os.environ["SCALE_DATABASE"], os.environ["SCALE_MODEL"])
