"""How many runs a second one and two worker processes execute.

    python bench/fleet.py postgresql://ai:ai@localhost:5532/ai [RUNS] [SECONDS OF A MODEL CALL]

The runs are accepted before the workers start, so the submitter takes no part. The stand-in model
runs in a process of its own, and answers at once unless told otherwise. A rate is the number of
runs between the first tenth and the last tenth that ended, by the database's clock, divided by the
time between them.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["KERN_IN_PROCESS_WORKER"] = "0"

import asyncpg
import psutil

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses

TABLE = "bench_fleet"
AGENTS = """
import os
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses

model = OpenAIResponses("any", base_url=os.environ["BENCH_MODEL"], api_key="none")
agent = Agent("Bench", model, db=PostgresDb(os.environ["BENCH_DATABASE"], "bench_fleet"))
"""


async def ended(connection: asyncpg.Connection) -> list[float]:
    """Return when the runs ended, in order, in seconds."""
    rows = await connection.fetch(
        f"SELECT extract(epoch FROM finished_at)::float8 AS ended FROM kern.{TABLE}_runs "
        "WHERE finished_at IS NOT NULL ORDER BY 1"
    )
    return [row["ended"] for row in rows]


async def measure(url: str, model: str, runs: int, processes: int, directory: Path) -> None:
    """Have this many processes execute as many runs, and print the rate."""
    connection = await asyncpg.connect(url)
    agent = Agent("Bench", OpenAIResponses("any"), db=PostgresDb(url, TABLE))
    await agent.aget_run_output("the tables are made")
    await connection.execute(f"TRUNCATE kern.{TABLE}, kern.{TABLE}_runs, kern.{TABLE}_run_events")
    await asyncio.gather(*(agent.arun("Hello", background=True) for _ in range(runs)))
    worker = subprocess.Popen(  # noqa: ASYNC220 # nothing else happens on the loop by now
        [
            *(str(Path(sys.executable).with_name("kern")), "worker", "bench_agents:agent"),
            *("--processes", str(processes)),
        ],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"BENCH_DATABASE": url, "BENCH_MODEL": model},
    )
    deadline = time.monotonic() + 300
    times: list[float] = []
    while len(times) < runs and time.monotonic() < deadline:
        times = await ended(connection)
        await asyncio.sleep(0.5)
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children()]
    spent = sum(sum(each.cpu_times()[:2]) for each in family)
    worker.terminate()
    worker.wait()
    await connection.close()
    first, last = len(times) // 10, len(times) - len(times) // 10 - 1
    rate = (last - first) / (times[last] - times[first])
    print(
        f"{processes} worker process{'es' if processes > 1 else ''}: {rate:6.0f} runs/s, "
        f"{1000 * spent / runs:5.2f} ms of processor time a run, start included"
    )


def main(url: str, runs: int, delay: float) -> None:
    """Measure one and two processes, in turn, three times."""
    directory = Path(tempfile.mkdtemp(prefix="kern-bench-"))
    (directory / "bench_agents.py").write_text(AGENTS)
    server = subprocess.Popen(
        [sys.executable, "-m", "kern.testing.responses", "--delay", str(delay)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    model = next(word for word in server.stdout.readline().split() if word.startswith("http"))
    try:
        for _ in range(3):
            for processes in (1, 2):
                asyncio.run(measure(url, model, runs, processes, directory))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(
        sys.argv[1],
        int(sys.argv[2]) if len(sys.argv) > 2 else 2000,
        float(sys.argv[3]) if len(sys.argv) > 3 else 0.0,
    )
