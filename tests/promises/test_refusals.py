"""Promise 15: a worker that cannot execute a run leaves it to others, and no run ends for it."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from load import all_ended, ended, status_of, submit
from stores import execute
from workers import NewWorker

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.values import LOST_ATTEMPTS
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

RUNS = 8

UNABLE: dict[str, dict[str, Any]] = {
    "a tool less": {"tools": ("work",)},
    "an older version": {"tools": ("wait",), "TEST_JOURNAL_VERSION": "0"},
}
"""What keeps a worker from executing runs that have begun elsewhere."""


@pytest.fixture(autouse=True)
def _submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {
        "KERN_HEARTBEAT": "1",
        "KERN_CONCURRENCY": "10",
        "TEST_LEDGER": str(tmp_path / "ledger"),
    }


async def begun_and_released(
    db: Database, model: OpenAIResponses, server: ResponsesServer, names: list[str]
) -> Agent:
    """Begin runs in this process, and release them in the middle of their calls."""
    calls = list[str]()
    under_way, stopping = asyncio.Event(), asyncio.Event()

    async def wait() -> str:
        """Never end."""
        calls.append("wait")
        if len(calls) == len(names):
            under_way.set()
        await asyncio.Event().wait()
        return "never"

    server.script += [Reply.tool_calls(("wait", {})) for _ in names]
    agent = Agent("Tester", model, db=db, tools=[wait])
    serving = asyncio.create_task(serve([agent], grace=0.0, stopping=stopping))
    await submit(agent, names)
    await asyncio.wait_for(under_way.wait(), 20)
    stopping.set()
    await serving
    assert {await status_of(agent, name) for name in names} == {RunStatus.pending}
    return agent


async def refusal_of(db: Database, run_id: str) -> str | None:
    run = await (await db.store()).get(run_id)
    assert run is not None
    return run.refusal


async def counted(db: Database, what: str) -> int:
    """Return what a column of the only run counts."""
    [row] = await execute(await db.store(), f"SELECT {what} FROM {{runs}}")
    return cast(int, row[what])


@pytest.fixture
async def refused(shared_db: Database, model: OpenAIResponses, server: ResponsesServer) -> Agent:
    """Return the agent of a run that was released in the middle of a call."""
    return await begun_and_released(shared_db, model, server, ["run"])


@pytest.mark.parametrize("unable", UNABLE)
async def test_one_good_worker_of_a_fleet_executes_what_the_others_cannot(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    settings: dict[str, str],
    unable: str,
) -> None:
    names = [f"run-{number}" for number in range(RUNS)]
    agent = await begun_and_released(shared_db, model, server, names)
    for worker in [new_worker(shared_db, **UNABLE[unable] | settings) for _ in range(2)]:
        await worker.ready()
    await new_worker(shared_db, tools=("wait",), **settings).ready()
    runs = await all_ended(agent, names, 40)
    assert [(run.status, run.error) for run in runs] == [(RunStatus.completed, None)] * RUNS
    assert [each.result for run in runs for each in run.tools] == ["went on"] * RUNS


async def test_a_worker_without_a_key_fails_no_run_of_the_fleet(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    settings: dict[str, str],
) -> None:
    agent = Agent("Tester", model, db=shared_db)
    keyless = new_worker(shared_db, **settings, OPENAI_API_KEY="")
    with suppress(EOFError):  # It may not start at all.
        await keyless.ready()
    names = [f"run-{number}" for number in range(RUNS)]
    await submit(agent, names)
    await new_worker(shared_db, **settings).ready()
    runs = await all_ended(agent, names, 40)
    assert [(run.status, run.error) for run in runs] == [(RunStatus.completed, None)] * RUNS


async def test_what_makes_every_run_fail_is_found_before_a_worker_is_ready(
    shared_db: Database, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = OpenAIResponses("test-model", base_url=server.base_url)
    agent = Agent("Tester", keyless, db=shared_db)
    await submit(agent, ["run"])
    told: list[bool] = []
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        await asyncio.wait_for(serve([agent], ready=told.append), 20)
    assert told == []
    assert await status_of(agent, "run") is RunStatus.pending


async def test_a_refusal_is_recorded_and_counts_as_no_attempt(
    shared_db: Database, new_worker: NewWorker, settings: dict[str, str], refused: Agent
) -> None:
    for _ in range(3):
        await new_worker(shared_db, **UNABLE["a tool less"] | settings).ready()
    async with asyncio.timeout(20):
        while await counted(shared_db, "refusals") <= LOST_ATTEMPTS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await counted(shared_db, "failures") == 0
    refusal = await refusal_of(shared_db, "run")
    assert "wait" in (refusal or "")
    assert await status_of(refused, "run") in (RunStatus.pending, RunStatus.running)
    await new_worker(shared_db, tools=("wait",), **settings).ready()
    run = await ended(refused, "run", 20)
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")


async def test_workers_of_an_older_version_pass_a_run_by(
    shared_db: Database, new_worker: NewWorker, settings: dict[str, str], refused: Agent
) -> None:
    store = await shared_db.store()
    before = await store.get("run")
    await new_worker(shared_db, **UNABLE["an older version"] | settings).ready()
    with pytest.raises(TimeoutError):
        await refused.await_run("run", timeout=1.5)
    assert await store.get("run") == before
    await new_worker(shared_db, tools=("wait",), **settings).ready()
    assert (await ended(refused, "run", 20)).status is RunStatus.completed


async def test_a_run_that_is_refused_for_too_long_ends_with_an_error_that_says_so(
    shared_db: Database, new_worker: NewWorker, settings: dict[str, str], refused: Agent
) -> None:
    options: dict[str, Any] = UNABLE["a tool less"] | settings | {"KERN_UNSERVED_TIMEOUT": "2s"}
    await new_worker(shared_db, **options).ready()
    run = await ended(refused, "run", 20)
    assert run.status is RunStatus.error
    assert run.error is not None
    assert "No worker could execute this run" in run.error
    assert "wait" in run.error
    await new_worker(shared_db, tools=("wait",), **settings).ready()
    await refused.aretry_run("run")
    assert (await ended(refused, "run", 20)).status is RunStatus.completed
