"""Promises 4 and 5 for runs that wait for people, and for those below them.

Wherever the process is killed that executes a run with pauses of every kind, three levels deep, it
ends as the undisturbed one does: what was journaled is not done again, what people have answered
is not asked again, and every call of an agent is one run.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from elsewhere import environment_of, joined, processes
from leases import expire
from people import ANSWER, LEVELS, STEPS, carry, execute, make_agent, name_of
from stores import execute as query

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.run.base import RunStatus
from kern.run.entry import read_row
from kern.run.steps import ModelAnswered
from kern.run.tool_steps import ToolEnded

TURNS = [f"{level} {turn}" for level in LEVELS for turn in range(1, len(LEVELS[level]) + 2)]
# Three acceptances, then answers, results, pauses, decisions and claims; how many depends on which
# results share a write.
WRITES, SURE_WRITES = 60, 30
POINTS = [f"in {each}" for each in (*STEPS, *TURNS)] + [
    f"{when} write {number}" for number in range(1, WRITES + 1) for when in ("before", "after")
]
SURE = len(POINTS) - 2 * (WRITES - SURE_WRITES)
"""How many of the points come in each run."""
AT_ONCE = 4


class Case:
    """One death and what comes after it."""

    def __init__(self, db: Database, ledger: Path) -> None:
        self.db, self.ledger = db, ledger

    def written(self, word: str, case: str) -> Counter[str]:
        """Return how often models or tools were called."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        words = [line.split("\t") for line in lines]
        return Counter(each[2] for each in words if each[:2] == [word, case])

    async def play(self, case: str) -> None:
        where = environment_of(self.db, "")["TEST_DB"]
        process = processes.Process(
            target=execute, args=(where, self.db.session_table, str(self.ledger), case)
        )
        process.start()
        exit_code = await joined(process, 90)
        at = case.removesuffix(" as a team").rpartition(" ")[2]
        is_unsure = "write" in case and int(at) > SURE_WRITES
        assert exit_code == -signal.SIGKILL or (is_unsure and exit_code == 0), case
        process.close()

        run_id, runtime = name_of(case), await open_runtime(self.db)
        asked, begun = self.written("model", case), self.written("begin", case)
        turns, steps = await self._committed(runtime.store, run_id)
        for each in await self._rows(runtime.store, run_id):
            await expire(self.db, each["run_id"])
        agent = make_agent(case, self.db, self.ledger)
        runtime.serve(agent)
        if await runtime.store.get(run_id) is None:  # It was never accepted.
            await agent.arun("Go", background=True, run_id=run_id, session_id=run_id)
        run = await carry(agent, run_id)

        assert (run.status, run.content) == (RunStatus.completed, ANSWER), case
        for what, before, done in (("model", asked, turns), ("begin", begun, steps)):
            for name, times in self.written(what, case).items():
                most = before[name] if name in done else before[name] + 1
                assert times <= most <= 2, f"{case}: {what} {name} was done too often"
        rows = await self._rows(runtime.store, run_id)
        assert Counter(row["status"] for row in rows) == {"COMPLETED": len(LEVELS)}, case

    async def _rows(self, store: Store, session_id: str) -> Sequence[dict[str, str]]:
        found = "SELECT run_id, agent_id, status FROM {runs} WHERE session_id = {1}"
        rows = await query(store, found, session_id)
        return [{name: str(value) for name, value in row.items()} for row in rows]

    async def _committed(self, store: Store, session_id: str) -> tuple[set[str], set[str]]:
        """Return the turns and the steps that the dead process has committed."""
        turns, steps = set[str](), set[str]()
        for row in await self._rows(store, session_id):
            level, turn = row["agent_id"].rpartition(" ")[2], 0
            for each in await store.events(row["run_id"], 0):
                match read_row(each).step:
                    case ModelAnswered():
                        turn += 1
                        turns.add(f"{level} {turn}")
                    case ToolEnded(_, str(result)):
                        steps.add(result[0])
            if row["status"] == RunStatus.completed:
                turns.add(f"{level} {len(LEVELS[level]) + 1}")
        return turns, steps & {*STEPS}


async def play_all(cases: Sequence[str], db: Database, tmp_path: Path) -> None:
    """Have a process die in each case, and see that no step has two keys."""
    case, slots = Case(db, tmp_path / "ledger"), asyncio.Semaphore(AT_ONCE)

    async def play(name: str) -> None:
        async with slots:
            await case.play(name)

    async with asyncio.TaskGroup() as group:
        for name in cases:
            group.create_task(play(name))

    keys: dict[tuple[str, str], set[str]] = {}
    for line in (tmp_path / "ledger").read_text().splitlines():
        word, name, step, key = line.split("\t")
        if word == "begin":
            keys.setdefault((name, step), set()).add(key)
    assert all(len(each) == 1 for each in keys.values())


@pytest.mark.timeout(240)
async def test_a_run_that_waits_for_people_survives_a_kill(
    shared_db: Database, tmp_path: Path
) -> None:
    # A few points on each of the databases; at night all of them.
    first = 0 if isinstance(shared_db, PostgresDb) else 7
    await play_all(POINTS[first:SURE:16], shared_db, tmp_path)


@pytest.mark.timeout(240)
async def test_a_team_that_waits_for_people_survives_a_kill(
    shared_db: Database, tmp_path: Path
) -> None:
    first = 5 if isinstance(shared_db, PostgresDb) else 13
    await play_all([f"{each} as a team" for each in POINTS[first:SURE:16]], shared_db, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_a_run_that_waits_for_people_survives_a_kill_at_any_point(
    shared_db: Database, tmp_path: Path
) -> None:
    await play_all(POINTS, shared_db, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_a_team_that_waits_for_people_survives_a_kill_at_any_point(
    shared_db: Database, tmp_path: Path
) -> None:
    await play_all([f"{each} as a team" for each in POINTS], shared_db, tmp_path)
