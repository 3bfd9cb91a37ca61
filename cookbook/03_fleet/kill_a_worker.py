"""Two workers and a submitter: one worker is killed in the middle, and no run is lost.

    ./scripts/demo.sh cookbook/03_fleet/kill_a_worker.py

The workers are what you would start on as many machines as you like:

    kern worker agents:writer

This process only submits (KERN_IN_PROCESS_WORKER=0), as the web servers of a fleet do.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

os.environ["KERN_IN_PROCESS_WORKER"] = "0"
sys.path.insert(0, str(Path(__file__).parent))

from agents import writer

SUBJECTS = ["the sea", "bread", "snow", "a clock", "an old road", "tea", "rain", "a bridge"]


async def start_worker(name: str) -> Process:
    """Start a worker that executes four runs at once, and wait until it is ready."""
    worker = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("kern")), "worker", "agents:writer"),
        # Who shows no sign of life for 2 seconds is lost; the default of 15 suits real fleets.
        *("--concurrency", "4", "--heartbeat", "2"),
        cwd=Path(__file__).parent,
        stdout=PIPE,
    )
    await until(worker, name, "ready")
    return worker


async def until(worker: Process, name: str, word: str) -> None:
    """Show what a worker prints, up to the first line with this word."""
    assert worker.stdout is not None
    while line := (await worker.stdout.readline()).decode():
        print(f"   {name} | {line.rstrip()}")
        if word in line:
            return


@asynccontextmanager
async def two_workers() -> AsyncIterator[tuple[Process, Process]]:
    """Have two workers, and end what is left of them."""
    first, second = await asyncio.gather(start_worker("worker 1"), start_worker("worker 2"))
    try:
        yield first, second
    finally:
        for worker in (first, second):
            if worker.returncode is None:
                worker.terminate()
            await worker.wait()


async def main() -> None:
    """Submit eight runs, kill a worker when it has begun, and wait for all of them."""
    print("1. Start two workers")
    async with two_workers() as (first, second):
        print("\n2. Submit eight runs")
        runs = [
            await writer.arun(f"Write three sentences about {subject}.", background=True)
            for subject in SUBJECTS
        ]
        print(f"   {len(runs)} runs are PENDING")

        print("\n3. Kill the first worker in the middle of its runs")
        await until(first, "worker 1", "started")
        first.send_signal(signal.SIGKILL)
        print("   worker 1 is gone")

        print("\n4. Wait for the runs; the second worker takes those of the first one over")
        showing = asyncio.create_task(until(second, "worker 2", "nothing that it would print"))
        ended = await asyncio.gather(*(writer.await_run(run.run_id) for run in runs))
        showing.cancel()
        await asyncio.wait({showing})

    print("\n5. All of them")
    for subject, run in zip(SUBJECTS, ended, strict=True):
        assert run is not None
        assert run.content, run.error
        print(f"   {run.status} {subject}: {' '.join(run.content.split())[:60]} ...")
    print("\nNo run was lost!")


if __name__ == "__main__":
    asyncio.run(main())
