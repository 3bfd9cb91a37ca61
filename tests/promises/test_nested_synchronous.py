"""Promise 14 for synchronous runs within runs: however many wait for one another, they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import Process
from nested import delegates

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import KernError
from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer

SYNCHRONOUS = """
import os
from concurrent.futures import ThreadPoolExecutor
from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

kind, where, table = (os.environ[name] for name in ("TEST_KIND", "TEST_DB", "TEST_TABLE"))
db = {{
    "none": lambda: None,
    "memory": InMemoryDb,
    "sqlite": lambda: SqliteDb(where),
    "postgres": lambda: PostgresDb(where, table),
}}[kind]()
model = OpenAIResponses("test-model", max_retries=0)

def look() -> str:
    "Look it up."
    return "found"

inner = Agent("Inner", model, db=db, tools=[look])

{tool}

outer = Agent("Outer", model, db=db, tools=[delegate])
with ThreadPoolExecutor({count}) as threads:
    for run in threads.map(outer.run, ["Hi"] * {count}):
        print(run.status, run.tools[0].result, flush=True)
print("all", flush=True)
"""

WAITING_THREAD = '''
def delegate() -> str:
    """Have somebody else do it."""
    return inner.run("Do it.").content or ""
'''

BLOCKED_LOOP = '''
async def delegate() -> str:
    """Have somebody else do it."""
    return inner.run("Do it.").content or ""
'''


async def said(process: Process) -> list[str]:
    """Return the lines that a script prints."""
    lines = []
    while line := await process.said(80):
        lines.append(line)
    return lines


@pytest.fixture
def synchronous(
    request: pytest.FixtureRequest, server: ResponsesServer, tmp_path: Path, table: str
) -> Iterator[Process]:
    """A script of synchronous runs with a kind of database, a tool and a number of runs."""
    kind, tool, count = request.param
    where = request.getfixturevalue("postgres").url if kind == "postgres" else tmp_path / "kern.db"
    script = tmp_path / "script.py"
    script.write_text(SYNCHRONOUS.format(tool=tool, count=count))
    settings = {"TEST_KIND": kind, "TEST_DB": str(where), "TEST_TABLE": table}
    process = Process(
        script, settings | {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "k"}
    )
    yield process
    process.close()


MORE_THAN_THREADS = 60


@pytest.mark.parametrize(
    "synchronous",
    [
        pytest.param((kind, WAITING_THREAD, MORE_THAN_THREADS), id=kind)
        for kind in ("none", "memory", "sqlite", "postgres")
    ],
    indirect=True,
)
async def test_synchronous_runs_within_synchronous_runs_end_however_many_they_are(
    server: ResponsesServer, synchronous: Process
) -> None:
    server.default = delegates
    assert await said(synchronous) == ["COMPLETED Done."] * MORE_THAN_THREADS + ["all"]


@pytest.mark.parametrize(
    "synchronous",
    [pytest.param((kind, BLOCKED_LOOP, 1), id=kind) for kind in ("none", "sqlite")],
    indirect=True,
)
async def test_a_synchronous_run_in_an_asynchronous_tool_is_refused_and_told_of_its_twin(
    server: ResponsesServer, synchronous: Process
) -> None:
    server.default = delegates
    lines = await said(synchronous)
    assert len(lines) == 2, lines
    assert "COMPLETED" in lines[0]
    assert "arun" in lines[0]


async def test_a_synchronous_run_on_a_loop_that_executes_runs_is_refused(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = delegates
    inner = Agent("Inner", model, db=db)
    errors: list[KernError] = []

    async def delegate() -> str:
        """Have somebody else do it."""
        try:
            inner.run("Do it.")
        except KernError as error:
            errors.append(error)
        return "tried"

    await Agent("Outer", model, db=db, tools=[delegate]).arun("Hi")
    assert len(errors) == 1
    assert "arun" in str(errors[0])
