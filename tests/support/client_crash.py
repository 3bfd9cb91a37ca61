"""A run that ends with a call of its client, and the one after it, in a process that dies."""

import asyncio
import os
import signal
from pathlib import Path

from crash import kill_around_write, open_database
from elsewhere import set_environment

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.worker import Worker
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext
from kern.run.message import Message
from kern.run.overrides import ClientTool, Overrides
from kern.testing import Reply

OWN = Overrides(tools=(ClientTool("open_door", "Opens a door."),), instructions="Be brief.")

WRITES = 6
"""A claim, an answer with calls, the result of the own one, and an end; a claim, and an end."""


def then_of(case: str) -> str:
    """Return the id of the run that begins with the result."""
    return f"{case}-then"


def turn_of(body: dict[str, object]) -> int:
    """Return which answer a request asks for: 1 of the first run, or 2 of the other."""
    items = body["input"]
    assert isinstance(items, list)
    return 2 if any(each.get("type") == "function_call" for each in items) else 1


def answer(turn: int) -> Reply:
    """Return the model's answer in a turn."""
    if turn == 1:
        return Reply.text("One moment.").calling(("open_door", {}), ("work", {}))
    return Reply.text("It is open.")


def make_agent(
    case: str, db: Database, base_url: str, ledger: Path, *, dies_in_tool: bool = False
) -> Agent:
    """Return the agent; its tool notes each call in the ledger.

    Args:
        case: its name, so that nobody else serves its runs.
        db: where its runs are kept.
        base_url: where its model is.
        ledger: the file.
        dies_in_tool: whether the process dies in its tool.
    """

    async def work(context: RunContext) -> str:
        with ledger.open("a") as file:
            file.write(f"{context.run_id} {context.idempotency_key}\n")
        if dies_in_tool:
            os.kill(os.getpid(), signal.SIGKILL)
        return "It is done."

    model = OpenAIResponses("test-model", base_url=base_url, api_key="sk-test", max_retries=0)
    return Agent(case, model, db=db, tools=[work])


async def go_on(agent: Agent, run: RunOutput) -> RunOutput:
    """Begin the run with the result, or find it begun."""
    [call] = run.client_calls
    given = [Message("tool", "Open now.", tool_call_id=call.tool_call_id)]
    return await agent.acontinue_run(
        run.run_id,
        input=given,
        new_run_id=then_of(run.run_id),
        overrides=OWN,
        background=True,
    )


def execute(where: str, table: str, base_url: str, ledger: str, case: str, kill_at: str) -> None:
    """Execute both runs until the process dies.

    ``kill_at`` is ``"in tool"``, ``"before write N"`` or ``"after write N"``; anything else lets
    others do the killing.
    """
    set_environment({})
    setattr(Worker, "has_slot", lambda *_: False)  # noqa: B010 # mypy allows no assignment
    words = kill_at.split()
    if words[0] in ("before", "after"):
        kill_around_write(words[0] == "before", int(words[2]), False)
    db = open_database(where, table)
    agent = make_agent(case, db, base_url, Path(ledger), dies_in_tool=kill_at == "in tool")

    async def main() -> None:
        await agent.arun(case, background=True, run_id=case, overrides=OWN)
        run = await agent.await_run(case, timeout=60)
        assert run is not None
        await agent.await_run((await go_on(agent, run)).run_id, timeout=60)

    asyncio.run(main())
