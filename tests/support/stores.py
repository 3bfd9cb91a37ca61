"""What the tests of the databases share: runs to store, rows as they are, who is notified."""

import asyncio
import subprocess
from collections.abc import Callable
from itertools import count
from typing import Any

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.store import SqliteStore
from kern.db.values import Claim, Settled, Signal, Swept
from kern.run.base import RunStatus
from kern.run.record import NewRun, Settlement

Spawn = Callable[..., "subprocess.Popen[str]"]

_others = count()

_TABLES = (
    *("runs", "sessions", "states", "blobs", "approvals", "webhooks", "keys", "figures", "tick"),
)

LEASE = 60.0
"""A lease that outlives every test."""

EXPIRED = -1.0
"""A lease that has expired when it begins."""

CLAIM = Claim("executor", LEASE)
"""A claim without limits."""

LOST = Claim("lost", EXPIRED)
"""A claim of an executor that is lost at once."""

OPEN = """
import asyncio, sys
from kern.db.values import Claim
from kern.run.base import RunStatus
from kern.run.record import NewRun, Settlement

if "://" in sys.argv[1]:
    from kern.db.postgres import PostgresDb as Db
else:
    from kern.db.sqlite import SqliteDb as Db
db = Db(*sys.argv[1:])
"""
"""How a script opens as ``db`` the database that :func:`address` describes."""

SWARM = f"""{OPEN}
import os, traceback

if "://" in sys.argv[1]:
    import kern.db.queue_tables  # Once, and not in each of the ten.

def swarm(main):
    gate, opening = os.pipe()
    children = []
    for number in range(10):
        if child := os.fork():
            children.append(child)
            continue
        os.close(opening)
        os.read(gate, 1)
        try:
            asyncio.run(main(str(number)))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(opening)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""
"""How a script has ten processes do something at the same moment, and says how many failed."""


def address(db: Database) -> tuple[str, ...]:
    """Return the arguments with which a script opens the same database."""
    if isinstance(db, PostgresDb):
        return db._dsn, db.session_table, db._names.schema
    assert isinstance(db, SqliteDb)
    return db._file.path, db.session_table


def same(db: Database) -> Database:
    """Return the database as another process has it; memory is in one process only."""
    if isinstance(db, PostgresDb):
        # What differs shares no connections.
        pool_size = 9 + next(_others)
        return PostgresDb(db._dsn, db.session_table, db._names.schema, pool_size=pool_size)
    assert isinstance(db, SqliteDb)
    return db if db._file.path == ":memory:" else SqliteDb(db._file.path, db.session_table)


def new_run(run_id: str = "run", **changes: Any) -> NewRun:
    """Return a run to submit."""
    values = {"session_id": "session", "agent_id": "agent", "user_id": None, "input": '"Hi"'}
    return NewRun(run_id, **values | changes)


def ending(
    run_id: str = "run",
    attempt: int = 1,
    status: RunStatus = RunStatus.completed,
    output: str = '{"content":"Hello"}',
    error: str | None = None,
) -> Settlement:
    """Return the end of an attempt."""
    return Settlement(run_id, attempt, status, output, error, "{}")


async def execute(store: Store, statement: str, *values: str) -> list[dict[str, object]]:
    """Send a statement of the test's own, in which ``{runs}`` names a table and ``{1}`` a value."""
    if isinstance(store, PostgresStore):
        names = {each: getattr(store.names, each) for each in _TABLES}
        rows = await store.pool.fetch(statement.format(None, "$1", "$2", **names), *values)
        return [dict(row) for row in rows]
    assert isinstance(store, SqliteStore)
    tables = store._file.tables
    names = {each: getattr(tables, each) for each in _TABLES}
    text = statement.format(None, ":value_1", ":value_2", **names)
    named = {f"value_{number}": value for number, value in enumerate(values, 1)}

    def fetch(transaction: Transaction) -> list[dict[str, object]]:
        return [dict(row) for row in transaction.execute(text, **named).fetchall()]

    return await store._file.write(fetch)


async def row(store: Store, run_id: str = "run") -> dict[str, object]:
    """Return every column of a run, and in PostgreSQL who wrote the row and where it lies."""
    system = "xmin, ctid, " if isinstance(store, PostgresStore) else ""
    [found] = await execute(store, f"SELECT {system}* FROM {{runs}} WHERE run_id = {{1}}", run_id)
    return found


async def sweep(store: Store) -> Swept:
    """Have expired attempts given up, whenever the last sweep was."""
    async with asyncio.timeout(20):
        while (swept := await store.sweep(0.0)) is None:  # noqa: ASYNC110 # another one has just swept
            await asyncio.sleep(0.01)
    return swept


def seconds_ago(store: Store, seconds: float) -> str:
    """Return the expression of a moment in the past."""
    if isinstance(store, PostgresStore):
        return f"now() - interval '{seconds} s'"
    return f":now - {seconds}"


async def make_due(store: Store, run_id: str) -> None:
    """Have a delayed run become due, without anybody noticing."""
    past = seconds_ago(store, 1)
    statement = f"UPDATE {{runs}} SET due_at = {past}, run_at = {past} WHERE run_id = {{1}}"
    await execute(store, statement, run_id)


async def status_of(store: Store, run_id: str = "run") -> RunStatus:
    """Return the status of a run."""
    found = await store.get(run_id)
    assert found is not None
    return found.status


class Recorder:
    """Is notified of the signals of a store."""

    def __init__(self) -> None:
        """Have no signal yet."""
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()

    def __call__(self, signal: Signal) -> None:
        """Take a signal."""
        self._signals.put_nowait(signal)

    async def gets(self, *wanted: Signal) -> list[Signal]:
        """Wait until one of the signals comes, and return what came until then."""
        came: list[Signal] = []
        async with asyncio.timeout(20):
            while not came or came[-1] not in wanted:
                came.append(await self._signals.get())
        return came


def settled_as(settled: Settled | None) -> RunStatus | None:
    """Return how a run was settled, or None where it was not."""
    return None if settled is None else settled.status
