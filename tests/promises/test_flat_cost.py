"""Promise 10: a session's ten thousandth run costs what its first one did.

The cost is counted, not timed: in PostgreSQL the pages that a statement touches, as EXPLAIN
reports them; in SQLite the steps of its virtual machine.
"""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

import asyncpg
import pytest

from kern.db.base import Claim
from kern.db.postgres import PostgresDb, statements
from kern.db.postgres.names import Names
from kern.db.postgres.rows import accepted_columns
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.reading import Reading
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.submission import Submission
from kern.db.sqlite.tables import Tables
from kern.run.base import RunStatus
from kern.run.record import NewRun, Settlement

MANY = 10_000
OUTPUT = json.dumps({"content": "Hello.", "messages": [{"role": "user", "content": "Hello?"}]})
CLAIM, LIMITED = Claim("worker", 15.0), Claim("worker", 15.0, user_limit=1)


def _settlement(run_id: str) -> Settlement:
    return Settlement(run_id, 1, RunStatus.completed, OUTPUT, None, "{}")


class _Counter:
    """Sends statements, and notes what each step costs."""

    def __init__(self, connection: asyncpg.Connection, names: Names) -> None:
        self._connection = connection
        self.names = names
        self._statements = {
            name: statement
            for part in (
                statements.Accepting(names),
                statements.Limits(names),
                statements.Reading(names),
                statements.SessionLock(names),
                statements.Steps(names),
            )
            for name, statement in vars(part).items()
        }
        self.costs: dict[str, int] = {}

    async def count(self, step: str, *values: object) -> None:
        """Take a step, and note how many pages it touched."""
        plan = await self._connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {self._statements[step]}", *values
        )
        top = json.loads(plan)[0]["Plan"]
        self.costs[step] = top["Shared Hit Blocks"] + top["Shared Read Blocks"]

    async def submit(self, run_id: str, session: str, *, ordered: bool = False) -> None:
        """Accept a run."""
        run = NewRun(run_id, session, "a", "u", "{}", ordered=ordered)
        await self.count("submit", *accepted_columns([run]))

    async def claim(self, run_id: str) -> None:
        """Begin a run."""
        await self.count("claim", [run_id], [15.0], ["worker"], [False])

    async def settle(self, run_id: str) -> None:
        """End the first attempt at a run."""
        end = [[run_id], [1], ["COMPLETED"], [OUTPUT], [None], ["{}"], [0], [None], [None]]
        await self.count("settle", *end, [], [], [], [], [])


async def _costs(counter: _Counter, session: str) -> dict[str, int]:
    """Take one more run of the session through its life, and return what each step cost."""
    run_id, cancelled, resumed = (str(uuid4()) for _ in range(3))
    count = counter.count
    for each in (run_id, cancelled, resumed):
        await counter.submit(each, session)
    await count("get", [run_id])
    await counter.claim(run_id)
    await count("held", run_id, "worker")
    await count("history", session, run_id, 3)
    await count("extend", [run_id], [1], 15.0)
    row = [[run_id], [1], [1], ["ModelRequestCompleted"], ["{}"]]
    await count("append", [run_id], [1], [False], *row)
    await count("events", run_id, 0)
    await count("wanted", [run_id])
    await count("read", run_id)
    await counter.settle(run_id)
    await count("watch", run_id)
    await count("cancel", cancelled)
    await count("children", run_id)
    await counter.claim(resumed)
    await count("refuse", resumed, 1, "No key.", 0.0, 60.0)
    await counter.claim(resumed)
    await count("postpone", resumed, 2, 0.0, [], [], [])
    await counter.claim(resumed)
    await count("release", resumed, 3)
    await count("resume", run_id, "COMPLETED", [], [])
    return dict(counter.costs)


async def _costs_of_waiting(counter: _Counter, session: str, number: int) -> dict[str, int]:
    """Let a session's lock go from one run to the next; return what each step cost."""
    holder, after = f"{session}-{number}", f"{session}-{number + 1}"
    run_ids = [str(uuid4()) for _ in range(3)]
    count = counter.count
    for each in run_ids:
        await counter.submit(each, session, ordered=True)
    await count("withdraw", run_ids[0])
    await count("cancel", run_ids[1])
    await count("request", after)
    await count("get", [after])
    await counter.claim(holder)
    await counter.settle(holder)
    await count("hand_off", session, after)
    await count("counted", "a")
    await count("counted_of_user", "a", "u")
    await count("wait", after, session)
    await count("admit", session, 1)
    await count("set_counted", after, 1, True)
    return dict(counter.costs)


async def _let_runs_wait(
    connection: asyncpg.Connection, names: Names, session: str, many: int
) -> None:
    """Make a session in which many runs have ended, and as many wait for it and for their user."""
    await connection.execute(
        f"INSERT INTO {names.sessions} (session_id, agent_id, lock_run_id) "
        "VALUES ($1, 'a', $1 || '-1')",
        session,
    )
    for status, prefix in (("COMPLETED", f"{session}-ended"), ("PENDING", session)):
        await connection.execute(
            f"INSERT INTO {names.runs} (run_id, session_id, agent_id, status, input, ordered, "
            "waiting, due_at, concurrency_key) SELECT $4 || '-' || n, $1, 'a', $3, '{}', true, "
            "$3 = 'PENDING' AND n <> 1, CASE WHEN $3 = 'PENDING' AND n = 1 THEN now() END, "
            "CASE WHEN $3 = 'PENDING' AND n > 5 THEN $1 END "
            "FROM generate_series(1, $2::integer) AS n",
            session,
            many,
            status,
            prefix,
        )
    await connection.execute(f"VACUUM ANALYZE {names.runs}")


@pytest.fixture
async def counter(postgres_db: PostgresDb) -> AsyncIterator[_Counter]:
    """The statements on empty tables."""
    await postgres_db.store()
    connection = await asyncpg.connect(postgres_db._dsn)
    yield _Counter(connection, postgres_db._names)
    await connection.close()


async def test_in_postgresql_every_step_touches_as_many_pages_as_in_the_first_run(
    counter: _Counter,
) -> None:
    connection, runs = counter._connection, counter.names.runs
    await connection.execute(f"ANALYZE {runs}")
    first = await _costs(counter, "one")
    await connection.execute(
        f"INSERT INTO {runs} (run_id, session_id, agent_id, status, attempt, output) "
        f"SELECT 'run-' || n, 'one', 'a', 'COMPLETED', 1, $1::json "
        f"FROM generate_series(1, {MANY}) AS n",
        OUTPUT,
    )
    await connection.execute(f"VACUUM ANALYZE {runs}")
    for _ in range(3):  # The first ones after a VACUUM pay for its cleaned index pages.
        last = await _costs(counter, "one")
    _assert_flat(first, last)


async def test_in_postgresql_no_step_looks_for_its_run_among_those_that_execute_or_wait(
    counter: _Counter,
) -> None:
    """Also where the statistics are those of tables in which few did."""
    connection, runs = counter._connection, counter.names.runs
    await connection.execute(f"ANALYZE {runs}")
    first = await _costs(counter, "one")
    await connection.execute(f"VACUUM ANALYZE {runs}")
    await connection.execute(
        f"INSERT INTO {runs} (run_id, session_id, agent_id, status, attempt, waiting, due_at, "
        "lease_until) SELECT 'run-' || n, 's' || n, 'b', CASE WHEN n % 2 = 0 THEN 'RUNNING' ELSE "
        "'PENDING' END, 1, n % 4 = 1, CASE WHEN n % 4 = 3 THEN now() END, CASE WHEN n % 2 = 0 "
        f"THEN now() + interval '1 hour' END FROM generate_series(1, {MANY}) AS n",
    )
    last = await _costs(counter, "one")
    del last["history"]  # It has no guard on what executes or waits.
    _assert_flat(first, last)


async def test_in_postgresql_a_hand_off_costs_what_it_did_however_many_wait(
    counter: _Counter,
) -> None:
    connection, names = counter._connection, counter.names
    for session, many in (("few", 10), ("many", MANY)):
        await _let_runs_wait(connection, names, session, many)
    first, *_ = [await _costs_of_waiting(counter, "few", number) for number in (1, 2)]
    *_, last = [await _costs_of_waiting(counter, "many", number) for number in (1, 2, 3)]
    holders = await connection.fetch(
        f"SELECT lock_run_id FROM {names.sessions} ORDER BY session_id"
    )
    assert [row["lock_run_id"] for row in holders] == ["few-3", "many-4"]
    _assert_flat(first, last)


def _assert_flat(first: dict[str, int], last: dict[str, int]) -> None:
    # A B-tree of ten thousand keys is one or two pages deeper than an empty one, in each of the
    # indexes that a step goes down. A cost that grows with the session would be hundreds.
    assert {step: cost for step, cost in last.items() if cost > first[step] + 50} == {}


class _Machine:
    """The operations on an empty file, and what they have cost."""

    def __init__(self, connection: sqlite3.Connection, tables: Tables) -> None:
        self._connection = connection
        self._operations = [
            part(tables) for part in (Submission, Attempts, Reading, SessionLock, Limits)
        ]
        self._transaction = Transaction(connection, 1.0)
        self._steps = 0
        self.costs: dict[str, int] = {}

    def __call__(self, name: str, *values: object) -> None:
        """Carry out an operation, in the transaction that there is."""
        operation = next(getattr(each, name) for each in self._operations if hasattr(each, name))
        operation(self._transaction, *values)

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
    connection = file._connection._open()
    connection.execute("BEGIN")
    yield _Machine(connection, file.tables)
    connection.execute("COMMIT")
    file._connection.close()


def _sqlite_costs(machine: _Machine) -> dict[str, int]:
    run_id, cancelled = str(uuid4()), str(uuid4())
    for each in (run_id, cancelled):
        machine.count("submit", NewRun(each, "one", "a", None, "{}"))
    machine.count("get", run_id, False)
    machine.count("claim", run_id, CLAIM)
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
        machine("claim", run.run_id, CLAIM)
        machine("settle", _settlement(run.run_id))
    last = _sqlite_costs(machine)
    assert {step: cost for step, cost in last.items() if cost > first[step] + 50} == {}


def _let_wait(machine: _Machine, numbers: Sequence[int]) -> None:
    """Accept runs of one session, and some of one user, of which only the first can begin."""
    for number in numbers:
        machine("submit", NewRun(f"run-{number}", "one", "a", "u", "{}", ordered=True))
        machine("submit", NewRun(f"waits-{number}", f"session-{number}", "a", "u", "{}"))
        machine("claim", f"run-{number}", LIMITED)
        machine("claim", f"waits-{number}", LIMITED)


def _sqlite_costs_of_waiting(machine: _Machine, holder: int) -> dict[str, int]:
    """Let the session's lock go from one run to another."""
    for _ in range(2):
        withdrawn = NewRun(str(uuid4()), "one", "a", "u", "{}", ordered=True)
        machine.count("submit", withdrawn)
        machine.count("withdraw", withdrawn.run_id)
    machine.count("get", f"run-{holder + 1}", False)
    machine.count("settle", _settlement(f"run-{holder}"))
    machine.count("claim", f"run-{holder + 1}", CLAIM)
    machine.count("admit", "a", "u", LIMITED)
    return dict(machine.costs)


def test_in_sqlite_a_hand_off_costs_what_it_did_however_many_wait(machine: _Machine) -> None:
    _let_wait(machine, range(10))
    for holder in range(2):
        first = _sqlite_costs_of_waiting(machine, holder)
    _let_wait(machine, range(10, 2000))
    last = _sqlite_costs_of_waiting(machine, 2)
    # What B-trees cost that are deeper; it would be tens of thousands with each run looked at.
    assert {step: cost for step, cost in last.items() if cost > first[step] + 50} == {}
