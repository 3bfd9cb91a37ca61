"""Runs that are made to be measured, here or by a ``kern worker``."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

import asyncpg
import psutil
from scale_agent import SCHEMA, TABLE, make_agent, text_of
from scale_meter import Counts, Meter

from kern.agent import Agent
from kern.agent.serving import serve
from kern.dispatch.maintenance import prune
from kern.dispatch.opening import open_runtime

RATE = 20.0
"""Runs a second of the slow loads: one ends before the next one comes."""


@dataclass(frozen=True)
class Load:
    """Runs to be made.

    Attributes:
        name: what to call it.
        runs: how many.
        queued: submitted here, and executed by a ``kern worker``; else executed here.
        calls: tool calls of a run, one a turn.
        wait: seconds of a model call.
        question: bytes of the input.
        answer: bytes of the answer.
        at_once: how many are under way at a time.
        slow: one after the other, ``RATE`` a second; costs are then without those of idling.
        random_ids: the ids are random; those that kern chooses begin with the time.
    """

    name: str
    runs: int
    queued: bool = False
    calls: int = 0
    wait: float = 0.0
    question: int = 40
    answer: int = 6
    at_once: int = 200
    slow: bool = False
    random_ids: bool = False


@dataclass(frozen=True)
class Cost:
    """What a run of a load cost: see :class:`scale_meter.Counts`, each divided by the runs.

    Attributes:
        seconds: how long the load took.
        submit: seconds of a submit, the median, by its caller's clock.
        worker: seconds of processor time a run of the process that executes.
    """

    load: Load
    counts: Counts
    seconds: float
    submit: float
    worker: float


class Bench:
    """Makes runs and measures them."""

    def __init__(self, url: str, model: str, meter: Meter) -> None:
        self.url, self.model, self.meter = url, model, meter
        self.idle = Counts(0, 0, 0, 0, 0, 0, 0, 0)

    async def fresh(self) -> None:
        """Begin with new tables."""
        await self.meter.connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await asyncio.to_thread(asyncio.run, self._make_tables())

    async def _make_tables(self) -> None:
        await make_agent(self.url, self.model).aget_run_output("the tables are made")

    async def measure_idle(self) -> Counts:
        """Return what a second costs in which a process serves an agent that has no runs."""
        differences = []
        for seconds in (2.0, 32.0):
            before = await self.meter.read()
            await asyncio.to_thread(asyncio.run, self._serve_for(seconds))
            differences.append(await self.meter.read() - before)
        more = differences[1] - differences[0]
        self.idle = Counts(*(max(0.0, value) / more.time for value in asdict(more).values()))
        return self.idle

    async def _serve_for(self, seconds: float) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stopping.set)
        await serve([make_agent(self.url, self.model)], stopping=stopping)

    async def cost(self, load: Load, *, checkpoint: bool = True) -> Cost:
        """Make the runs of a load, right after a checkpoint or not, and return what one cost."""
        if checkpoint:
            await self.meter.connection.execute("CHECKPOINT", timeout=300)
        os.environ["KERN_IN_PROCESS_WORKER"] = "0" if load.queued else "1"
        if load.queued:
            with self._worker(load) as worker:
                before, began = await self.meter.read(), _processor(worker)
                submit, seconds = await asyncio.to_thread(asyncio.run, self._make(load))
                spent = _processor(worker) - began
            counts = await self.meter.read() - before
        else:
            before = await self.meter.read()
            submit, seconds = await asyncio.to_thread(asyncio.run, self._make(load))
            counts = await self.meter.read() - before
            spent = counts.own
        counts = counts.less(self.idle) if load.slow else counts
        each = Counts(*(value / load.runs for value in asdict(counts).values()))
        return Cost(load, each, seconds, submit, spent / load.runs)

    async def _make(self, load: Load) -> tuple[float, float]:
        agent = make_agent(self.url, self.model)
        if load.queued:
            await agent.aget_run_output("connected")
        times: list[float] = []
        began = time.monotonic()
        if load.slow:
            tasks = []
            for number in range(load.runs):
                await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
                tasks.append(asyncio.create_task(_one(agent, load, times)))
            await asyncio.gather(*tasks)
        else:
            numbers = iter(range(load.runs))

            async def client() -> None:
                for _ in numbers:
                    await _one(agent, load, times)

            await asyncio.gather(*(client() for _ in range(load.at_once)))
        if load.queued:
            await self._emptied()
        return median(times), time.monotonic() - began

    async def _emptied(self) -> None:
        connection = await asyncpg.connect(self.url)
        left = 1
        while left:
            await asyncio.sleep(0.3)
            left = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.pgqueuer")
        await connection.close()

    @contextmanager
    def _worker(self, load: Load) -> Iterator[psutil.Process]:
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("kern")), "worker", "scale_agent:agent"),
                    *("--concurrency", str(max(100, load.at_once))),
                ],
                cwd=Path(__file__).parent,
                stdout=log,
                env=os.environ | {"SCALE_DATABASE": self.url, "SCALE_MODEL": self.model},
            )
            try:
                while " ready" not in os.pread(log.fileno(), 10_000, 0).decode():
                    assert process.poll() is None, "the worker has ended"
                    time.sleep(0.1)
                yield psutil.Process(process.pid)
            finally:
                process.terminate()
                process.wait()

    async def fill(self, rows: int) -> float:
        """Add finished runs of 40 days ago, each in a session of its own; return the seconds."""
        os.environ["KERN_IN_PROCESS_WORKER"] = "1"
        await asyncio.to_thread(asyncio.run, self._make(Load("template", 1)))
        began = time.monotonic()
        tables = (TABLE, f"{TABLE}_runs", f"{TABLE}_run_events")
        for first in range(1, rows + 1, 50_000):
            for table in tables:
                await self._copy(table, first, min(first + 49_999, rows))
        for table in tables:
            await self.meter.connection.execute(f"VACUUM ANALYZE {SCHEMA}.{table}", timeout=600)
        return time.monotonic() - began

    async def _copy(self, table: str, first: int, last: int) -> None:
        """Copy the rows of the template run under other ids, which are in no order."""
        connection = self.meter.connection
        values = {"run_id": "md5('run ' || n)", "session_id": "md5('session ' || n)"}
        columns = await connection.fetch(
            "SELECT column_name AS name, data_type AS type FROM information_schema.columns "
            "WHERE table_schema = $1 AND table_name = $2 AND column_name <> 'position'",
            *(SCHEMA, table),
        )
        names = [row["name"] for row in columns]
        taken = [
            values.get(row["name"], row["name"])
            + (" - interval '40 days'" if row["type"].startswith("timestamp") else "")
            for row in columns
        ]
        await connection.execute(
            f"INSERT INTO {SCHEMA}.{table} ({', '.join(names)}) SELECT {', '.join(taken)} FROM "
            f"(SELECT * FROM {SCHEMA}.{table} WHERE created_at > now() - interval '1 day') AS old, "
            f"generate_series({first}, {last}) AS n",
            timeout=600,
        )

    async def poll(self, times: int = 1000) -> tuple[float, float]:
        """Read runs one after the other; return the median in seconds, and the pages of each."""
        rows = await self.meter.connection.fetch(
            f"SELECT run_id FROM {SCHEMA}.{TABLE}_runs ORDER BY random() LIMIT {times}"
        )
        before = await self.meter.read()
        taken = await asyncio.to_thread(asyncio.run, self._poll([row["run_id"] for row in rows]))
        counts = await self.meter.read() - before
        return median(taken), counts.pages / len(rows)

    async def _poll(self, run_ids: list[str]) -> list[float]:
        agent, taken = make_agent(self.url, self.model), []
        for run_id in run_ids:
            began = time.monotonic()
            await agent.aget_run_output(run_id)
            taken.append(time.monotonic() - began)
        return taken

    async def prune(self, seconds: float) -> tuple[int, float, Counts]:
        """Delete old runs as a worker does; return how many, in which time, and the counts."""
        before = await self.meter.read()
        deleted, taken = await asyncio.to_thread(asyncio.run, self._prune(seconds))
        return deleted, taken, await self.meter.read() - before

    async def _prune(self, seconds: float) -> tuple[int, float]:
        database = make_agent(self.url, self.model).db
        assert database is not None
        retention = (await open_runtime(database)).store.retention
        began, deleted = time.monotonic(), 0
        steps = prune(retention, datetime.now(UTC) - timedelta(days=30))
        async for runs in steps:
            deleted += runs
            if time.monotonic() - began > seconds:
                break
        await steps.aclose()
        return deleted, time.monotonic() - began


async def _one(agent: Agent, load: Load, times: list[float]) -> None:
    question = f"calls {load.calls}, wait {load.wait}, answer {load.answer}. "
    question += text_of(max(0, load.question - len(question)))
    run_id = session_id = None
    if load.random_ids:
        run_id, session_id = str(uuid4()), str(uuid4())
    began = time.monotonic()
    run = await agent.arun(question, background=True, run_id=run_id, session_id=session_id)
    times.append(time.monotonic() - began)
    if not load.queued:
        ended = await agent.await_run(run.run_id)
        assert ended is not None
        assert ended.status == "COMPLETED", ended


def _processor(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])
