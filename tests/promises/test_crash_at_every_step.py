"""Promises 4 and 5: wherever the process is killed, the run ends as the undisturbed one does.

Each case runs in a process of its own, which dies by SIGKILL inside one of the run's fourteen
steps, or right before or after something is committed; then the test's process takes over. What
was committed is not done again. What was under way is done again, once, with the same key.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from crash import TURNS, answer, carry, execute, keeps_state, make_agent, turn_of
from elsewhere import environment_of, joined, processes
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.dispatch.runtime import Runtime
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.entry import read_row
from kern.run.steps import ModelAnswered
from kern.run.tool_steps import ToolEnded
from kern.testing import Reply, ResponsesServer

STEPS = "".join("".join(calls) for calls in TURNS)
# The acceptance or a claim, five answers with calls, eight results, and the end with the sixth
# answer. Results that come at the same time share a write, so the last numbers may not be reached.
WRITES, SURE_WRITES = 15, 12
STREAMED, PAUSED = (2, 3, 4, 6, SURE_WRITES + 3), (7, 8, 9, 10, 11)
POINTS = (
    [f"in model {turn}" for turn in range(1, len(TURNS) + 1)]
    + [f"in tool {step}" for step in STEPS]
    + [f"{when} write {number}" for number in range(1, WRITES + 1) for when in ("before", "after")]
)
# Half of the runs begin where they are accepted, half come from the queue.
CASES = [
    f"{point} at once" if number // 2 % 2 == 0 else point for number, point in enumerate(POINTS)
] + ["after write 1 at once"]
# The pieces of a streamed call, and a pause: its row, the decision, and the claim that follows.
NEW_CASES = [
    f"{when} write {number} {kind}"
    for kind, numbers in (("streamed", STREAMED), ("paused", PAUSED))
    for number in numbers
    for when in ("before", "after")
]
AT_ONCE = 4


class Crashes:
    """What the model's server saw, and whom it has to kill."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, int], list[dict[str, object]]] = {}
        self.victims: dict[str, BaseProcess] = {}
        self._lock = threading.Lock()

    def reply(self, body: dict[str, object]) -> Reply:
        items = body["input"]
        assert isinstance(items, list)
        case, turn = items[0]["content"], turn_of(body)
        with self._lock:
            seen = self.bodies.setdefault((case, turn), [])
            seen.append(body)
        if case.removesuffix(" at once") == f"in model {turn}" and len(seen) == 1:
            # The victim may be quicker than what has started it.
            while (pid := self.victims[case].pid) is None:
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
        return answer(turn, case.rpartition(" ")[2])

    def requests(self, case: str) -> Counter[int]:
        return Counter({turn: len(self.bodies.get((case, turn), [])) for turn in range(1, 7)})


class Case:
    """One death and what comes after it."""

    def __init__(self, db: Database, server: ResponsesServer, crashes: Crashes, ledger: Path):
        self.db, self.server, self.crashes, self.ledger = db, server, crashes, ledger

    def begun(self, run_id: str) -> Counter[str]:
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return Counter(line.split()[2] for line in lines if line.startswith(f"begin {run_id} "))

    async def _caught_up(self) -> None:
        """Wait until the model's server has taken in what the process sent before it died."""
        where = urlsplit(self.server.base_url)
        for _ in range(2):  # By the second time all that lay there at the first has been read.
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await reader.read()
            writer.close()
            await writer.wait_closed()

    async def play(self, case: str) -> None:
        run_id = case.replace(" ", "-")
        where = environment_of(self.db, self.server.base_url)["TEST_DB"]
        process = processes.Process(
            target=execute,
            args=(
                *(where, self.db.session_table, self.server.base_url),
                *(str(self.ledger), case, case, run_id),
            ),
        )
        self.crashes.victims[case] = process
        process.start()
        exit_code = await joined(process, 90)
        point = case.removesuffix(" at once").removesuffix(" streamed")
        unreached = point.endswith(tuple(map(str, range(SURE_WRITES + 1, WRITES + 1))))
        assert exit_code == -signal.SIGKILL or (unreached and exit_code == 0), case
        process.close()

        runtime = await open_runtime(self.db)
        await self._caught_up()
        asked, begun = self.crashes.requests(case), self.begun(run_id)
        turns, tools = await self._committed(runtime, run_id)
        await expire(self.db, run_id)
        agent = make_agent(case, self.db, self.server.base_url, self.ledger)
        runtime.serve(agent)
        run = await carry(agent, run_id)

        assert (run.status, run.content) == (RunStatus.completed, "All done."), case
        assert [tool.result for tool in run.tools] == [f"{step} is done" for step in STEPS]
        assert run.metrics.model_calls == len(TURNS)
        again, rebegun = self.crashes.requests(case), self.begun(run_id)
        for turn in range(1, len(TURNS) + 1):
            most = asked[turn] if turn in turns else asked[turn] + 1
            assert again[turn] <= most <= 2, f"{case}: model call {turn} was made too often"
            bodies = self.crashes.bodies[case, turn]
            assert bodies[0] == bodies[-1], f"{case}: model call {turn} was made differently"
        for step in STEPS:
            most = begun[step] if step in tools else begun[step] + 1
            assert rebegun[step] <= most <= 2, f"{case}: tool {step} was called too often"
        await self._check_state(agent, run, case)
        events = [event async for event in agent.astream_run(run_id)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), case
        text = ""
        for event in events:
            match event.event:
                case RunEvent.run_content:
                    text += event.content or ""
                case RunEvent.run_content_voided:
                    text = ""
        assert text == "All done.", case

    async def _check_state(self, agent: Agent, run: RunOutput, case: str) -> None:
        """See that each step has changed the state once, and from where it stood before."""
        state = await agent.aget_session_state(run.session_id)
        if not keeps_state(case):
            assert state == {}, case
            return
        assert state == run.session_state, case
        assert sorted(state.pop("done")) == list(STEPS), case  # type: ignore[call-overload]
        assert state == dict.fromkeys(STEPS, 1) | {"case": case, "last": STEPS[-1]}, case

    async def _committed(self, runtime: Runtime, run_id: str) -> tuple[set[int], set[str]]:
        """Return the turns and the tool steps that the dead process has committed."""
        turns, tools = 0, set()
        for row in await runtime.store.events(run_id, 0):
            match read_row(row).step:
                case ModelAnswered():
                    turns += 1
                case ToolEnded(_, str(result)):
                    tools.add(result[0])
        record = await runtime.store.get(run_id)
        assert record is not None
        if record.status is RunStatus.completed:
            turns = len(TURNS)
        return set(range(1, turns + 1)), tools


@pytest.mark.timeout(240)
async def test_a_run_killed_at_a_point_ends_as_the_undisturbed_one(
    shared_db: Database, tmp_path: Path
) -> None:
    # Half of them, each on one of the databases: before a write and after one, in turn.
    places = (0, 3) if isinstance(shared_db, PostgresDb) else (5, 6)
    some = [each for number, each in enumerate(CASES + NEW_CASES) if number % 8 in places]
    await play_all(some, shared_db, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(480)
async def test_a_run_killed_at_any_point_ends_as_the_undisturbed_one(
    shared_db: Database, tmp_path: Path
) -> None:
    await play_all(CASES + NEW_CASES, shared_db, tmp_path)


async def play_all(cases: Sequence[str], shared_db: Database, tmp_path: Path) -> None:
    """Have a process die in each case, and see that no step has two keys."""
    crashes = Crashes()
    with ResponsesServer(default=crashes.reply) as server:
        case = Case(shared_db, server, crashes, tmp_path / "ledger")
        slots = asyncio.Semaphore(AT_ONCE)

        async def play(name: str) -> None:
            async with slots:
                await case.play(name)

        async with asyncio.TaskGroup() as group:
            for name in cases:
                group.create_task(play(name))

    keys: dict[tuple[str, str], set[str]] = {}
    for line in (tmp_path / "ledger").read_text().splitlines():
        _, run_id, step, key = line.split()
        keys.setdefault((run_id, step), set()).add(key)
    assert all(len(each) == 1 for each in keys.values())
