"""Promise 10: a session's ten thousandth run costs what its first one did.

The cost is counted, not timed: in PostgreSQL the pages that a statement touches, as EXPLAIN
reports them; in SQLite the steps of its virtual machine.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from uuid import uuid4

import asyncpg
import pytest
from kern.db.sqlite.operations import Operations
from kern.db.sqlite.order import Order

from kern.db.postgres import PostgresDb, statements
from kern.db.postgres.names import Names
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.reading import Reading
from kern.local.postgres import EmbeddedPostgres
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


class _Counter:
    """Sends statements, and notes what each step costs."""

    def __init__(self, connection: asyncpg.Connection, names: Names) -> None:
        self._connection = connection
        self._statements = vars(statements.Steps(names))
        self._statements |= vars(statements.Reading(names)) | vars(statements.Order(names))
        self.costs: dict[str, int] = {}

    async def count(self, step: str, *values: object) -> None:
        """Take a step."""
        self.costs[step] = await _pages(self._connection, self._statements[step], *values)

    async def submit(self, run_id: str, session: str, ordered: bool = False) -> None:
        """Accept a run."""
        text = [[run_id], [session], ["a"], ["u"], ["{}"], [None], [None]]
        flags: list[list[object]] = [[False], [False], [None], [ordered], [0]]
        await self.count("submit", *text, *flags, *[[None]] * 5)

    async def settle(self, run_id: str) -> None:
        """End the first attempt at a run."""
        end = [[run_id], [1], ["COMPLETED"], [OUTPUT], [None], ["{}"], [0]]
        await self.count("settle", *end, [], [], [], [], [])


async def _costs(connection: asyncpg.Connection, names: Names, session: str) -> dict[str, int]:
    """Take one more run of the session through its life, and return what each step cost."""
    run_id, cancelled = str(uuid4()), str(uuid4())
    counter = _Counter(connection, names)
    count = counter.count
    for each in (run_id, cancelled):
        await counter.submit(each, session)
    await count("get", [run_id])
    await count("claim", [run_id], [15.0])
    await count("history", session, run_id, 3)
    await count("extend", [run_id], [1], 15.0)
    row = [[run_id], [1], [1], ["ModelRequestCompleted"], ["{}"]]
    await count("append", [run_id], [1], [False], *row)
    await count("events", run_id, 0)
    await count("asked", [run_id])
    await count("read", run_id)
    await counter.settle(run_id)
    await count("watch", run_id)
    await count("cancel", cancelled)
    await count("children", run_id)
    return counter.costs


async def _costs_of_waiting(
    connection: asyncpg.Connection, names: Names, session: str, number: int
) -> dict[str, int]:
    """Let the turn go on from one run of the session to the next; return what each step cost."""
    holder, after = f"{session}-{number}", f"{session}-{number + 1}"
    run_ids = [str(uuid4()) for _ in range(3)]
    counter = _Counter(connection, names)
    count = counter.count
    for each in run_ids:
        await counter.submit(each, session, ordered=True)
    await count("withdraw", run_ids[0])
    await count("cancel", run_ids[1])
    await count("ask", after)
    await count("get", [after])
    await count("claim", [holder], [15.0])
    await counter.settle(holder)
    await count("advance", session, after)
    await count("clear_slots", session)
    await count("taken_slots", session, after)
    await count("take_slot", session, after)
    await count("park", after, session)
    await count("admit", session, 1)
    return counter.costs


async def _let_runs_wait(
    connection: asyncpg.Connection, names: Names, session: str, many: int
) -> None:
    """Make a session in which many runs have ended, and as many wait for it and for their user."""
    await connection.execute(
        f"INSERT INTO {names.sessions} (session_id, agent_id, turn) VALUES ($1, 'a', $1 || '-1')",
        session,
    )
    for status, prefix in (("COMPLETED", "ended"), ("PENDING", session)):
        await connection.execute(
            f"INSERT INTO {names.runs} (run_id, session_id, agent_id, status, input, ordered, "
            "waiting, lane) SELECT $4 || '-' || n, $1, 'a', $3, '{}', true, "
            "$3 = 'PENDING' AND n <> 1, CASE WHEN $3 = 'PENDING' AND n > 5 THEN $1 END "
            "FROM generate_series(1, $2::integer) AS n",
            session,
            many,
            status,
            f"{session}-{prefix}" if prefix == "ended" else session,
        )
    await connection.execute(f"VACUUM ANALYZE {names.runs}")


async def test_in_postgresql_every_step_touches_as_many_pages_as_in_the_first_run(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb
) -> None:
    await postgres_db.store()
    names = Names("kern", postgres_db.session_table)
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f"ANALYZE {names.runs}")
        first = await _costs(connection, names, "one")
        await connection.execute(
            f"INSERT INTO {names.runs} (run_id, session_id, agent_id, status, attempt, output) "
            f"SELECT 'run-' || n, 'one', 'a', 'COMPLETED', 1, $1::json "
            f"FROM generate_series(1, {MANY}) AS n",
            OUTPUT,
        )
        await connection.execute(f"VACUUM ANALYZE {names.runs}")
        for _ in range(3):  # The first ones after a VACUUM pay for its cleaned index pages.
            last = await _costs(connection, names, "one")
    finally:
        await connection.close()
    _assert_flat(first, last)


async def test_in_postgresql_a_turn_costs_what_it_did_however_many_wait(
    postgres: EmbeddedPostgres, postgres_db: PostgresDb
) -> None:
    await postgres_db.store()
    names = Names("kern", postgres_db.session_table)
    connection = await asyncpg.connect(postgres.url)
    try:
        for session, many in (("few", 10), ("many", MANY)):
            await _let_runs_wait(connection, names, session, many)
        first, *_ = [await _costs_of_waiting(connection, names, "few", n) for n in (1, 2)]
        *_, last = [await _costs_of_waiting(connection, names, "many", n) for n in (1, 2, 3)]
        turns = await connection.fetch(f"SELECT turn FROM {names.sessions} ORDER BY session_id")
    finally:
        await connection.close()
    assert [row["turn"] for row in turns] == ["few-3", "many-4"]
    _assert_flat(first, last)


def _assert_flat(first: dict[str, int], last: dict[str, int]) -> None:
    # A B-tree of ten thousand keys is one or two pages deeper than an empty one, in each of the
    # few indexes that a step goes down. A cost that grows with the session would be hundreds.
    assert {step: cost for step, cost in last.items() if cost > first[step] + 12} == {}


class _Machine:
    """The operations on an empty file, and what they have cost."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._operations = [Operations(table), Order(table), Reading(table)]
        self._steps = 0
        self.costs: dict[str, int] = {}

    def __call__(self, name: str, *values: object) -> None:
        """Carry out an operation, in the transaction that there is."""
        operation = next(getattr(each, name) for each in self._operations if hasattr(each, name))
        operation(self._connection, *values)

    def count(self, name: str, *values: object) -> None:
        """Carry out an operation, and count its instructions."""
        self._steps = 0
        self._connection.set_progress_handler(self._step, 1)
        self(name, *values)
        self._connection.set_progress_handler(None, 1)
        self.costs[name] = self._steps

    def _step(self) -> int:
        self._steps += 1
        return 0


@pytest.fixture
def machine(sqlite_db: SqliteDb) -> Iterator[_Machine]:
    """The operations on an empty file, in one transaction."""
    file = sqlite_db._file
    file.enter()
    connection = file._open()
    connection.execute("BEGIN")
    yield _Machine(connection, sqlite_db.session_table)
    connection.execute("COMMIT")
    file._close()


def _sqlite_costs(machine: _Machine) -> dict[str, int]:
    run_id, cancelled = str(uuid4()), str(uuid4())
    for each in (run_id, cancelled):
        machine.count("submit", NewRun(each, "one", "a", None, "{}"))
    machine.count("get", run_id, False)
    machine.count("claim", run_id, 15.0, None)
    machine.count("history", "one", run_id, 3)
    machine.count("extend", [(run_id, 1)], 15.0)
    machine.count("settle", _settlement(run_id))
    machine.count("cancel", cancelled)
    return dict(machine.costs)


def test_in_sqlite_every_step_takes_as_many_instructions_as_in_the_first_run(
    machine: _Machine,
) -> None:
    for _ in range(4):  # So that the history has something to return.
        first = _sqlite_costs(machine)
    for _ in range(MANY):
        run = NewRun(str(uuid4()), "one", "a", None, "{}")
        machine("submit", run)
        machine("claim", run.run_id, 15.0, None)
        machine("settle", _settlement(run.run_id))
    last = _sqlite_costs(machine)
    assert {step: cost for step, cost in last.items() if cost > first[step]} == {}


def _let_wait(machine: _Machine, numbers: Sequence[int]) -> None:
    """Accept runs of one session, and some of one user, of which only the first can begin."""
    for number in numbers:
        machine("submit", NewRun(f"run-{number}", "one", "a", "u", "{}", ordered=True))
        machine("submit", NewRun(f"parked-{number}", f"session-{number}", "a", "u", "{}"))
        machine("claim", f"run-{number}", 15.0, 1)
        machine("claim", f"parked-{number}", 15.0, 1)


def _sqlite_costs_of_waiting(machine: _Machine, holder: int) -> dict[str, int]:
    """Let the turn go on from one run of the session to another."""
    for _ in range(2):
        withdrawn = NewRun(str(uuid4()), "one", "a", "u", "{}", ordered=True)
        machine.count("submit", withdrawn)
        machine.count("withdraw", withdrawn.run_id)
    machine.count("get", f"run-{holder + 1}", False)
    machine.count("is_full", f"run-{holder + 1}", 1)
    machine.count("settle", _settlement(f"run-{holder}"))
    machine.count("admit", "one", "a", "u", 1)
    machine.count("claim", f"run-{holder + 1}", 15.0, 1)
    machine.count("is_full", "parked-9", 1)
    return dict(machine.costs)


def test_in_sqlite_a_turn_costs_what_it_did_however_many_wait(machine: _Machine) -> None:
    _let_wait(machine, range(10))
    for holder in range(2):
        first = _sqlite_costs_of_waiting(machine, holder)
    _let_wait(machine, range(10, 2000))
    last = _sqlite_costs_of_waiting(machine, 2)
    # What B-trees cost that are deeper; it would be tens of thousands with each run looked at.
    assert {step: cost for step, cost in last.items() if cost > first[step] + 50} == {}
