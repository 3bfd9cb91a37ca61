"""How long a user waits: to submit, until a run starts, and until a cancel has stopped it.

    python bench/latency.py postgresql://ai:ai@localhost:5532/ai [ROUNDS]

The stand-in model runs in a process of its own; so does the canceller «elsewhere». Times are in
milliseconds. A single-row commit of the same PostgreSQL is the yardstick.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import asyncpg

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

CANCELLER = """
import asyncio, sys, time
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
agent = Agent("Bench", OpenAIResponses("any"), db=PostgresDb(sys.argv[1], "bench_latency"))
async def main():
    await agent.aget_run_output("warm")
    print("ready", flush=True)
    while run_id := (await asyncio.to_thread(sys.stdin.readline)).strip():
        began = time.monotonic()
        print(await agent.acancel_run(run_id), began, flush=True)
asyncio.run(main())
"""


def show(name: str, seconds: list[float]) -> None:
    """Print the median and the tail of what was measured."""
    milliseconds = sorted(1000 * each for each in seconds)
    tail = milliseconds[int(0.99 * (len(milliseconds) - 1))]
    print(f"{name:45} p50 {statistics.median(milliseconds):7.2f}   p99 {tail:7.2f}")


async def timed(work: Callable[[], Awaitable[object]], rounds: int) -> list[float]:
    """Return how long each of ``rounds`` calls took, in seconds."""
    times = []
    for _ in range(rounds):
        began = time.monotonic()
        await work()
        times.append(time.monotonic() - began)
    return times


async def commit_time(url: str, rounds: int) -> list[float]:
    """Measure single-row commits."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS bench_commit (n bigint)")
    times = await timed(lambda: connection.execute("INSERT INTO bench_commit VALUES (1)"), rounds)
    await connection.close()
    return times


async def main(url: str, rounds: int) -> None:
    """Measure it all."""
    show("a single-row commit", await commit_time(url, rounds))
    canceller = subprocess.Popen(  # noqa: ASYNC220 # nothing else happens on the loop by now
        [sys.executable, "-c", CANCELLER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENAI_API_KEY": "none"},
    )
    assert canceller.stdin is not None
    assert canceller.stdout is not None
    canceller.stdout.readline()
    with ResponsesServer() as server:
        model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        agent = Agent("Bench", model, db=PostgresDb(url, "bench_latency"))
        for _ in range(5):
            await agent.await_run((await agent.arun("Warm up", background=True)).run_id)

        submits, starts, here, elsewhere = [], [], [], []
        for _ in range(rounds):
            before = len(server.requests)
            began = time.monotonic()
            run = await agent.arun("Hello?", background=True)
            submits.append(time.monotonic() - began)
            await agent.await_run(run.run_id)
            starts.append(server.requests[before].arrived - began)

        server.default, first = Reply.hang(), len(server.requests)
        for times, far in ((here, False), (elsewhere, True)):
            for _ in range(rounds):
                before = len(server.requests)
                run = await agent.arun("Hang", background=True)
                await server.wait_for_requests(before + 1)
                began = time.monotonic()
                if far:
                    canceller.stdin.write(run.run_id + "\n")
                    canceller.stdin.flush()
                    answer, moment = (await asyncio.to_thread(canceller.stdout.readline)).split()
                    assert answer == "True"
                    began = float(moment)
                else:
                    assert await agent.acancel_run(run.run_id)
                await agent.await_run(run.run_id)
                await server.wait_for_disconnects(before - first + 1)
                times.append(time.monotonic() - began)
    canceller.stdin.close()
    canceller.wait(10)
    canceller.stdout.close()
    show("submit", submits)
    show("submit to the model's server, idle", starts)
    show("cancel here, to CANCELLED and disconnected", here)
    show("cancel elsewhere, to CANCELLED and disconnected", elsewhere)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200))
