"""Promise 10: a session's ten thousandth run costs what its first one did.

The cost is counted, not timed: in PostgreSQL the pages that a statement touches, as EXPLAIN
reports them; in SQLite the steps of its virtual machine.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from uuid import uuid4

import asyncpg
import pytest

from kern.db.embedded import EmbeddedPostgres
from kern.db.postgres import PostgresDb
from kern.db.postgres.statements import Names, Statements
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.operations import Operations
from kern.run.base import RunStatus
from kern.run.record import NewRun, Settlement

MANY = 10_000
OUTPUT = json.dumps({"content": "Hello.", "messages": [{"role": "user", "content": "Hello?"}]})


def _settlement(run_id: str) -> Settlement:
    return Settlement(run_id, 1, RunStatus.completed, OUTPUT, None, "{}")


async def _pages(connection: asyncpg.Connection, statement: str, *values: object) -> int:
    """Run a statement and return how many pages it touched."""
    plan = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values
    )
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def _costs(connection: asyncpg.Connection, sql: Statements, session: str) -> dict[str, int]:
    """Take one more run of the session through its life, and return what each step cost."""
    run_id, cancelled = str(uuid4()), str(uuid4())
    costs = {}

    async def count(step: str, *values: object) -> None:
        costs[step] = await _pages(connection, getattr(sql, step), *values)

    for each in (run_id, cancelled):
        run = [[each], [session], ["a"], [None], ["{}"], [None], [None], [False], [False], [None]]
        await count("submit", *run)
    await count("get", run_id)
    await count("claim", [run_id], [15.0])
    await count("history", session, run_id, 3)
    await count("extend", [run_id], [1], 15.0)
    row = [[run_id], [1], [1], ["ModelRequestCompleted"], ["{}"]]
    await count("append", [run_id], [1], [False], *row)
    await count("events", run_id, 0)
    await count("asked", [run_id])
    await count("read", run_id)
    end = [[run_id], [1], ["COMPLETED"], [OUTPUT], [None], ["{}"], [0], [False]]
    await count("settle", *end, [], [], [], [], [])
    await count("watch", run_id)
    await count("cancel", cancelled)
    await count("children", run_id)
    return costs


async def test_in_postgresql_every_step_touches_as_many_pages_as_in_the_first_run(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb
) -> None:
    await postgres_db.store()
    names = Names("kern", postgres_db.session_table)
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f"ANALYZE {names.runs}")
        first = await _costs(connection, Statements(names), "one")
        await connection.execute(
            f"INSERT INTO {names.runs} (run_id, session_id, agent_id, status, attempt, output) "
            f"SELECT 'run-' || n, 'one', 'a', 'COMPLETED', 1, $1::json "
            f"FROM generate_series(1, {MANY}) AS n",
            OUTPUT,
        )
        await connection.execute(f"VACUUM ANALYZE {names.runs}")
        for _ in range(3):  # The first ones after a VACUUM pay for its cleaned index pages.
            last = await _costs(connection, Statements(names), "one")
    finally:
        await connection.close()
    # A B-tree of ten thousand keys is one or two pages deeper than an empty one, in each of the
    # few indexes that a step goes down. A cost that grows with the session would be hundreds.
    assert {step: cost for step, cost in last.items() if cost > first[step] + 12} == {}


@pytest.fixture
def steps(sqlite_db: SqliteDb) -> Iterator[tuple[Operations, sqlite3.Connection]]:
    """The operations on an empty file, and its connection."""
    file = sqlite_db._file
    file.enter()
    yield Operations(sqlite_db.session_table), file._open()
    file._close()


def _sqlite_costs(operations: Operations, connection: sqlite3.Connection) -> dict[str, int]:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    costs = {}
    run_id, cancelled = str(uuid4()), str(uuid4())
    life: list[tuple[str, Callable[..., object], tuple[object, ...]]] = [
        ("submit", operations.submit, (NewRun(run_id, "one", "a", None, "{}"),)),
        ("submit", operations.submit, (NewRun(cancelled, "one", "a", None, "{}"),)),
        ("get", operations.get, (run_id, False)),
        ("claim", operations.claim, (run_id, 15.0)),
        ("history", operations.history, ("one", run_id, 3)),
        ("extend", operations.extend, ([(run_id, 1)], 15.0)),
        ("settle", operations.settle, (_settlement(run_id),)),
        ("cancel", operations.cancel, (cancelled,)),
    ]
    connection.set_progress_handler(step, 1)
    for name, operation, values in life:
        steps = 0
        operation(connection, *values)
        costs[name] = steps
    connection.set_progress_handler(None, 1)
    return costs


def test_in_sqlite_every_step_takes_as_many_instructions_as_in_the_first_run(
    steps: tuple[Operations, sqlite3.Connection],
) -> None:
    operations, connection = steps
    _sqlite_costs(operations, connection)
    for _ in range(3):  # So that the history has something to return.
        first = _sqlite_costs(operations, connection)
    with connection:
        connection.execute("BEGIN")
        for _ in range(MANY):
            run = NewRun(str(uuid4()), "one", "a", None, "{}")
            operations.submit(connection, run)
            operations.claim(connection, run.run_id, 15.0)
            operations.settle(connection, _settlement(run.run_id))
    last = _sqlite_costs(operations, connection)
    assert {step: cost for step, cost in last.items() if cost > first[step]} == {}
