"""What is measured across processes: this one submits, worker processes execute."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import psutil

from bench.contenders.contender import ROOT
from bench.contenders.measures import (
    QUESTION,
    Bench,
    cancel,
    closed_loop,
    processor_of_postgres,
    warm_up,
)
from bench.contenders.standin import new_name

_START_SECONDS = 30.0

# kern's workers read it when they start. One of them is killed in the end.
_HEARTBEAT = {"KERN_HEARTBEAT": "2"}


class Worker:
    """A worker process.

    Attributes:
        name: what it is called in its setting.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        """Take the process, which has said that it is ready."""
        self.name = name
        self._process = process
        assert process.stdout is not None
        self._draining = asyncio.create_task(_drain(process.stdout))

    @classmethod
    async def start(cls, bench: Bench, name: str) -> "Worker":
        """Start a worker process, and wait until it is ready."""
        command = bench.contender.worker(replace(bench.setting, role="work", worker=name))
        process = await asyncio.create_subprocess_exec(
            *command.arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | _HEARTBEAT | dict(command.environment),
        )
        assert process.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(_START_SECONDS):
                while b"ready" not in (line := await process.stdout.readline()):
                    said += line
                    if not line:
                        raise RuntimeError(f"the worker ended and said:\n{said.decode()}")
        except BaseException:
            if process.returncode is None:
                process.kill()
            await process.wait()
            raise
        return cls(name, process)

    def processor(self) -> float:
        """Return its processor time so far, in seconds."""
        return sum(psutil.Process(self._process.pid).cpu_times()[:2])

    async def kill(self) -> float:
        """Kill it without a warning, and return when."""
        self._process.kill()
        moment = time.monotonic()
        await self._process.wait()
        return moment

    async def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._draining


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(65536):
        pass


async def _start(bench: Bench, name: str, workers: list[Worker]) -> None:
    workers.append(await Worker.start(bench, name))


@asynccontextmanager
async def _workers(bench: Bench, count: int) -> AsyncGenerator[list[Worker], None]:
    """Start so many workers; whatever the list holds at the end is stopped."""
    workers: list[Worker] = []
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(_start(bench, f"worker-{number}", workers))
        yield workers
    finally:
        for worker in workers:
            await worker.stop()


async def fleet(bench: Bench) -> None:
    """Measure what two workers do; and what needs them beside it."""
    async with _workers(bench, 2) as workers:
        if "fleet" in bench.setting.figures:
            await _sustain(bench, workers)
        if "cancel_elsewhere" in bench.setting.figures:
            await cancel(bench, "cancel_elsewhere")
        if "events" in bench.setting.figures:
            await _read(bench)
        if "take_over" in bench.setting.figures:
            await _take_over(bench, workers)


async def _sustain(bench: Bench, workers: list[Worker]) -> None:
    contender = bench.contender
    runs = await warm_up(bench, contender.in_flight)
    workers_before = sum(worker.processor() for worker in workers)
    postgres_before, before = processor_of_postgres(bench.setting.postgres), time.process_time()
    seconds = await closed_loop(contender, runs, contender.in_flight)
    bench.found("fleet", [runs / seconds], runs=runs, in_flight=contender.in_flight)
    spent = sum(worker.processor() for worker in workers) - workers_before
    bench.found("fleet_processor", [spent / runs])
    bench.found("fleet_submitter", [(time.process_time() - before) / runs])
    postgres = processor_of_postgres(bench.setting.postgres) - postgres_before
    bench.found("fleet_postgres", [postgres / runs])


async def _read(bench: Bench) -> None:
    delays = []
    for _ in range(bench.scale("events")):
        session = new_name("session")
        delays += await bench.background.delays(f"Call 20 times. {QUESTION}", session)
    bench.found("events", delays)


async def _take_over(bench: Bench, workers: list[Worker]) -> None:
    """Measure how long a run stands still when its worker is killed."""
    first = workers[0]
    await workers.pop().stop()
    mark = new_name("take-over")
    await bench.background.submit(f"Wait 600 s. #{mark}", new_name("session"))
    await bench.stand_in.arrival(mark)
    if bench.contender.takes_over == "another":
        await _start(bench, "worker-2", workers)
        moment = await first.kill()
    else:
        moment = await first.kill()
        await _start(bench, first.name, workers)
    again = await bench.stand_in.arrival(mark, count=2, timeout=60.0)
    bench.found("take_over", [again - moment], by=bench.contender.takes_over)
