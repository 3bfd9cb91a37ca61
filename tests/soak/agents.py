"""What the workers serve: an agent whose tools write to the ledger."""

import asyncio
import os
import signal
import time
from pathlib import Path

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext
from kern.tools import tool
from tests.soak.ledger import Ledger
from tests.soak.plan import ATTEMPTS, TABLE

ledger = Ledger(Path(os.environ["SOAK_LEDGER"]))


def _write(what: str, context: RunContext) -> None:
    run, turn, place = context.idempotency_key.rsplit("/", 2)
    ledger.write(what, run=run, turn=int(turn), place=int(place), attempt=context.attempt)


@tool
async def work(seconds: float, context: RunContext) -> str:
    """Work for a while."""
    _write("begin", context)
    await asyncio.sleep(seconds)
    _write("end", context)
    return f"did {context.idempotency_key}"


@tool
def block(seconds: float, context: RunContext) -> str:
    """Work for a while in a thread."""
    _write("begin", context)
    time.sleep(seconds)
    _write("end", context)
    return f"did {context.idempotency_key}"


@tool(on_interrupt="fail")
async def once(seconds: float, context: RunContext) -> str:
    """Do what must not be done twice, whatever happens."""
    _write("begin-once", context)
    await asyncio.sleep(seconds)
    _write("end", context)
    return f"did {context.idempotency_key}"


@tool
async def poison(context: RunContext) -> str:
    """Bring the worker down."""
    _write("begin", context)
    _write("kill", context)
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


agent = Agent(
    "Soaked",
    # The key tells the model's server which process asks.
    OpenAIResponses(
        "stand-in",
        base_url=os.environ["SOAK_MODEL"],
        api_key=str(os.getpid()),
        max_retries=0,
    ),
    # A connection costs more than what a worker does with it before it is killed.
    db=PostgresDb(os.environ["SOAK_DB"], TABLE, pool_size=4),
    tools=[work, block, once, poison],
    max_attempts=ATTEMPTS,
)
agents = [agent]
