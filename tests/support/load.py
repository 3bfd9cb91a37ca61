"""Many runs, and what the model's server saw of them."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from kern.agent import Agent
from kern.db.database import Database
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.testing import RequestRecord


def asked(request: RequestRecord) -> str:
    """Return what the user said in a request."""
    return str(request.body["input"][0]["content"])


def all_asked(requests: Iterable[RequestRecord]) -> list[str]:
    """Return what the users said, in the order of the requests."""
    return [asked(each) for each in requests]


def most_at_once(requests: Iterable[RequestRecord]) -> int:
    """Return how many requests were under way at the same moment."""
    changes = []
    for each in requests:
        # Who has read the last piece may ask anew before the server has finished.
        end = each.disconnected or (each.finished and each.sent)
        changes += [(each.arrived, 1), (float("inf") if end is None else end, -1)]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


async def submit(
    agent: Agent, names: Iterable[str], session_id: str | None = None, **options: Any
) -> list[RunOutput]:
    """Submit runs one after the other; each says its name, and has it as its id."""
    return [
        await agent.arun(
            name,
            background=True,
            run_id=name,
            session_id=session_id,
            **options,
        )
        for name in names
    ]


async def status_of(agent: Agent, run_id: str) -> RunStatus:
    """Return the status of a run that there is."""
    run = await agent.aget_run_output(run_id)
    assert run is not None
    return run.status


async def ended(agent: Agent, run_id: str, timeout: float = 30.0) -> RunOutput:
    """Return a run once it has ended."""
    run = await agent.await_run(run_id, timeout)
    assert run is not None
    return run


async def all_ended(
    agent: Agent, runs: Sequence[RunOutput | str], timeout: float = 30.0
) -> list[RunOutput]:
    """Return runs once they have ended."""
    ids = [each if isinstance(each, str) else each.run_id for each in runs]
    return list(await asyncio.gather(*(ended(agent, each, timeout) for each in ids)))


async def waiting(db: Database, *run_ids: str) -> None:
    """Wait until runs wait for others; nobody tells of that."""
    store = await db.store()
    async with asyncio.timeout(20):
        for run_id in run_ids:
            while (run := await store.get(run_id)) is None or not run.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
