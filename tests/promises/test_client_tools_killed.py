"""Promises 4 and 5, of runs that end with their client's calls, and of those with the results.

Each case is a process that dies by SIGKILL within a model call or a tool call, or right before or
after something is committed; then the test's process takes over.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from client_crash import WRITES, answer, execute, go_on, make_agent, turn_of
from elsewhere import environment_of, joined, processes
from leases import expire

from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.run.base import RunStatus
from kern.run.entry import read_row
from kern.run.tool_steps import ToolEnded
from kern.testing import Reply, ResponsesServer

POINTS = ["in model 1", "in tool", "in model 2"]
POINTS += [f"{when} write {at}" for at in range(1, WRITES + 1) for when in ("before", "after")]
AT_ONCE = 4


class Crashes:
    """What the model's server saw, and whom it has to kill."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self.victims: dict[str, BaseProcess] = {}
        self._lock = threading.Lock()

    def reply(self, body: dict[str, Any]) -> Reply:
        case, turn = body["input"][0]["content"], turn_of(body)
        with self._lock:
            seen = self.bodies.setdefault((case, turn), [])
            seen.append(body)
        if case == f"in-model-{turn}" and len(seen) == 1:
            while (pid := self.victims[case].pid) is None:  # It may be quicker than its starter.
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
        return answer(turn)


@pytest.mark.timeout(240)
async def test_wherever_the_process_is_killed_both_runs_end_as_undisturbed(
    shared_db: Database, tmp_path: Path
) -> None:
    is_postgres = isinstance(shared_db, PostgresDb)
    crashes, ledger = Crashes(), tmp_path / "ledger"
    slots = asyncio.Semaphore(AT_ONCE)
    with ResponsesServer(default=crashes.reply) as server:

        async def play(point: str) -> None:
            async with slots:
                await _play(point, shared_db, server, crashes, ledger)

        async with asyncio.TaskGroup() as group:
            for number, point in enumerate(POINTS):
                if (number % 4 in (0, 3)) is is_postgres:  # Each on one of the databases.
                    group.create_task(play(point))
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert len({key for _, key in lines}) == len({run_id for run_id, _ in lines})


async def _play(
    point: str, db: Database, server: ResponsesServer, crashes: Crashes, ledger: Path
) -> None:
    case = point.replace(" ", "-")
    where = environment_of(db, server.base_url)["TEST_DB"]
    process = processes.Process(
        target=execute,
        args=(where, db.session_table, server.base_url, str(ledger), case, point),
    )
    crashes.victims[case] = process
    process.start()
    assert await joined(process, 60) == -signal.SIGKILL, point
    process.close()

    runtime = await open_runtime(db)
    rows = await runtime.store.events(case, 0)
    was_done = any(isinstance(read_row(row).step, ToolEnded) for row in rows)
    made = _calls(ledger)[case]
    await expire(db, case)
    agent = make_agent(case, db, server.base_url, ledger)
    runtime.serve(agent)
    run = await agent.await_run(case, timeout=30)
    assert run is not None, point
    assert (run.status, run.content) == (RunStatus.completed, "One moment."), point
    assert [(each.tool_name, each.result) for each in run.tools] == [
        ("work", "It is done."),
        ("open_door", None),
    ], point
    assert _calls(ledger)[case] == made + (not was_done) <= 2, point

    then = await go_on(agent, run)
    await expire(db, then.run_id)
    found = await agent.await_run(then.run_id, timeout=30)
    assert found is not None, point
    assert (found.status, found.content) == (RunStatus.completed, "It is open."), point
    assert (run.metrics.model_calls, found.metrics.model_calls) == (1, 1), point
    for turn in (1, 2):
        bodies = crashes.bodies[case, turn]
        assert len(bodies) <= 2, point
        assert turn == 1 or bodies[0] == bodies[-1], point
        assert bodies[-1]["instructions"] == "Be brief.", point
    items = crashes.bodies[case, 2][-1]["input"]
    asked = {each["call_id"] for each in items if each.get("type") == "function_call"}
    given = {each["call_id"] for each in items if each.get("type") == "function_call_output"}
    assert asked == given, point
    assert len(asked) == 2, point


def _calls(ledger: Path) -> Counter[str]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Counter(line.split()[0] for line in lines)
