"""A run of six model calls and eight tool calls, in a process that kills itself at one point."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from elsewhere import set_environment

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.store import SqliteStore
from kern.dispatch.worker import Worker
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunContext
from kern.testing import Reply
from kern.tools import FunctionTool

TURNS = (("a",), ("b", "c", "d"), ("e",), ("f", "g"), ("h",), ())
"""The tool calls that each of the model's answers asks for."""


def keeps_state(case: str) -> bool:
    """Say whether the tool of a case changes the state of the session."""
    return case.endswith(("at once", "paused"))


def turn_of(body: dict[str, object]) -> int:
    """Return which of its answers a request asks the model for, from 1 on."""
    items = body["input"]
    assert isinstance(items, list)
    done = sum(item.get("type") == "function_call" for item in items)
    for number, calls in enumerate(TURNS, start=1):
        if done == 0 and calls:
            return number
        done -= len(calls)
    return len(TURNS)


def answer(turn: int, case: str) -> Reply:
    """Return the model's answer in a turn; in a case with a pause one step needs a person."""
    calls = TURNS[turn - 1]
    if not calls:
        return Reply.text("All ", "done.").slow(pause=0.05)
    named = [("sign" if (case, step) == ("paused", "e") else "work", step) for step in calls]
    return Reply.tool_calls(*((name, {"step": step}) for name, step in named)).thinking(
        "Hm.", f"{turn}"
    )


def make_agent(
    case: str, db: Database, base_url: str, ledger: Path, kill_in: str | None = None
) -> Agent:
    """Return the agent; its tool writes to the ledger when it begins and when it ends.

    Args:
        case: its name, so that nobody else serves its runs.
        db: where its runs are kept.
        base_url: where its model is.
        ledger: the file.
        kill_in: the step in which the process shall die.
    """

    def note(word: str, step: str, context: RunContext) -> None:
        with ledger.open("a") as file:
            file.write(f"{word} {context.run_id} {step} {context.idempotency_key}\n")

    async def work(step: str, context: RunContext) -> str:
        note("begin", step, context)
        if (state := context.session_state) is not None and keeps_state(case):
            state[step] = state.get(step, 0) + 1
            state["last"] = step
            state["done"].append(step)
        if step == kill_in:
            os.kill(os.getpid(), signal.SIGKILL)
        # Of parallel calls, the later ones are under way while the first ones end.
        await asyncio.sleep(0.02 * "abcdefgh".index(step))
        note("end", step, context)
        return f"{step} is done"

    model = OpenAIResponses("test-model", base_url=base_url, api_key="sk-test", max_retries=0)
    sign = FunctionTool(work, name="sign", requires_confirmation=True)
    if not keeps_state(case):
        return Agent(case, model, db=db, tools=[work, sign])
    state: dict[str, object] = {"done": [], "case": case}
    return Agent(case, model, db=db, tools=[work, sign], session_state=state)


async def carry(agent: Agent, run_id: str) -> RunOutput:
    """Wait for the run's end; confirm what it pauses for."""
    while True:
        run = await agent.await_run(run_id, timeout=60)
        assert run is not None
        if not run.is_paused:
            return run
        for requirement in run.requirements:
            requirement.confirm()
        await agent.acontinue_run(run_id, requirements=run.requirements)


def open_database(where: str, table: str) -> Database:
    """Return the database at ``where``, a URL or a file."""
    return PostgresDb(where, table) if "://" in where else SqliteDb(where, table)


def execute(
    where: str, table: str, base_url: str, ledger: str, case: str, kill_at: str, run_id: str
) -> None:
    """Execute the run until the process kills itself.

    ``kill_at`` is ``"in tool STEP"``, ``"before write N"`` or ``"after write N"``: a write is
    what commits something of the run. Anything else lets others do the killing. With ``"at once"``
    at its end the run begins as it is accepted, otherwise the queue hands it over; with
    ``"streamed"`` this process reads its stream.
    """
    set_environment({})
    at_once = kill_at.endswith("at once")
    if not at_once:
        setattr(Worker, "has_slot", lambda *_: False)  # noqa: B010 # mypy allows no assignment
    words = kill_at.split()
    if words[0] in ("before", "after"):
        kill_around_write(words[0] == "before", int(words[2]), at_once)
    kill_in = words[2] if words[:2] == ["in", "tool"] else None
    agent = make_agent(case, open_database(where, table), base_url, Path(ledger), kill_in)

    async def main() -> None:
        if kill_at.endswith("streamed"):
            async for _ in agent.arun(case, stream=True, background=True, run_id=run_id):
                pass
        else:
            await agent.arun(case, background=True, run_id=run_id)
        await carry(agent, run_id)

    asyncio.run(main())


def kill_around_write(before: bool, number: int, at_once: bool) -> None:
    """Have this process die before, or after, one of the writes of its runs.

    Args:
        before: whether it dies before it.
        number: which of them, from 1 on.
        at_once: whether runs begin where they are accepted.
    """
    written = Counter[str]()

    def killing(
        write: Callable[..., Awaitable[object]],
    ) -> Callable[..., Awaitable[object]]:
        async def wrapper(*arguments: object, **options: object) -> object:
            written["writes"] += 1
            is_it = written["writes"] == number  # Others may begin before this one has ended.
            if before and is_it:
                os.kill(os.getpid(), signal.SIGKILL)
            result = await write(*arguments, **options)
            if not before and is_it:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    stores: Sequence[type[Store]] = (PostgresStore, SqliteStore)
    for store in stores:
        for name in ("submit" if at_once else "claim", "append", "settle", "resume"):
            setattr(store, name, killing(getattr(store, name)))
