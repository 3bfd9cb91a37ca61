"""Telemetry is off by default, and then nothing of it is imported."""

import subprocess
import sys

SCRIPT = """
import asyncio, sys, tempfile
from pathlib import Path
from kern import Agent, SqliteDb
from kern.testing import Reply, ScriptedModel

def add(a: int, b: int) -> int:
    return a + b

async def main():
    model = ScriptedModel([Reply.tool_calls(("add", {"a": 1, "b": 2})), "Three."])
    with tempfile.TemporaryDirectory() as directory:
        agent = Agent("Adder", model, tools=[add], db=SqliteDb(Path(directory) / "kern.db"))
        run = await agent.arun("Add.", background=True)
        run = await agent.await_run(run.run_id, timeout=20)
        print(run.status)
        await agent.db.aclose()

asyncio.run(main())
import kern.cli.worker.process
found = [each for each in sys.modules if each.split(".")[0] == "opentelemetry"]
own = ("kern.telemetry.observer", "kern.telemetry.switch", "kern.telemetry.spans")
found += [each for each in own if each in sys.modules]
print(*found)
"""

MISSING = """
import sys
sys.modules.update(dict.fromkeys(["opentelemetry"]))
from kern.telemetry import JsonFormatter, RunIds
from kern.errors import MissingExtraError
try:
    from kern.telemetry import instrument
except MissingExtraError as error:
    print(error)
"""


def _python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_and_workers_import_nothing_of_opentelemetry() -> None:
    assert _python(SCRIPT).splitlines() == ["COMPLETED", ""]


def test_without_the_extra_an_error_names_it_and_logs_need_none() -> None:
    assert "kern-agents[telemetry]" in _python(MISSING)
