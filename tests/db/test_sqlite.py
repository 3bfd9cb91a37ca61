"""What only SQLite does: a file that many processes open, and memory that one object holds."""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from stores import (
    CLAIM,
    LEASE,
    OPEN,
    SWARM,
    Recorder,
    Spawn,
    address,
    ending,
    execute,
    new_run,
    same,
    settled_as,
)

from kern.db.in_memory import InMemoryDb
from kern.db.listing import RunFilter
from kern.db.sqlite import SqliteDb, schema
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile, _write_ahead
from kern.db.sqlite.reading import Reading
from kern.db.sqlite.store import SqliteStore
from kern.db.values import Kind, Signal
from kern.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    SchemaVersionError,
)
from kern.run.base import RunStatus

SUBMIT = f"""{SWARM}
async def main(number):
    store = await db.store()
    await store.submit(NewRun(number, "session", "agent", None, "{{}}"))

swarm(main)
"""


# --- the file


def test_the_file_is_made_on_first_use(sqlite_db: SqliteDb, tmp_path: Path) -> None:
    assert [*tmp_path.iterdir()] == []

    async def use() -> None:
        await sqlite_db.store()

    asyncio.run(use())
    assert [path.name for path in tmp_path.iterdir()] == ["kern.db"]


async def test_a_missing_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "too" / "kern.db"
    assert await (await SqliteDb(path).store()).submit(new_run()) is not None
    assert path.exists()


async def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "kern.db"
    with pytest.raises(DatabaseUnavailableError, match="directory") as raised:
        await SqliteDb(path).store()
    assert str(path) in str(raised.value)


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="unable to open") as raised:
        await SqliteDb(tmp_path).store()
    assert str(tmp_path) in str(raised.value)


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "kern.db"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(DatabaseError, match="not a database") as raised:
        await SqliteDb(path).store()
    assert str(path) in str(raised.value)
    assert path.read_text() == "Dear diary, " * 100


async def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "kern.db"
    path.mkdir()
    database = SqliteDb(path)
    with pytest.raises(DatabaseUnavailableError):
        await database.store()
    path.rmdir()
    assert await (await database.store()).submit(new_run()) is not None


async def test_a_full_disk_passes_and_a_wrong_statement_does_not(sqlite_db: SqliteDb) -> None:
    store = await sqlite_db.store()
    shared = sqlite_db._file

    def fill(transaction: Transaction) -> None:
        [pages] = transaction.execute("PRAGMA page_count").fetchone()
        transaction.execute(f"PRAGMA max_page_count = {pages}")

    await shared.read(fill)
    with pytest.raises(DatabaseUnavailableError, match="database or disk is full"):
        await store.submit(new_run(input='"' + "x" * 1_000_000 + '"'))
    # What is full is opened anew, and this time there is room.
    assert await store.submit(new_run(input='"' + "x" * 1_000_000 + '"')) is not None
    with pytest.raises(DatabaseError, match="syntax error") as raised:
        await shared.write(lambda transaction: transaction.execute("SELEKT 1"))
    assert not isinstance(raised.value, DatabaseUnavailableError)


async def test_a_file_that_may_not_be_written_passes(sqlite_db: SqliteDb) -> None:
    store = await sqlite_db.store()
    await sqlite_db._file.read(lambda transaction: transaction.execute("PRAGMA query_only = 1"))
    with pytest.raises(DatabaseUnavailableError, match="readonly"):
        await store.submit(new_run())
    assert await store.submit(new_run()) is not None


async def test_newer_tables_are_left_alone(sqlite_db: SqliteDb, tmp_path: Path) -> None:
    newer = same(sqlite_db)
    await sqlite_db.store()
    path = tmp_path / "kern.db"
    with sqlite3.connect(path) as other:
        other.execute("UPDATE kern_versions SET version = version + 1")
    other.close()
    with pytest.raises(SchemaVersionError, match="Upgrade kern") as raised:
        await newer.store()
    assert repr(sqlite_db.session_table) in str(raised.value)

    store = await SqliteDb(path, "other").store()
    assert await store.get("run") is None, "versions are the tables' own"


async def test_session_tables_of_one_file_do_not_see_each_other(
    sqlite_db: SqliteDb, tmp_path: Path
) -> None:
    mine = await sqlite_db.store()
    other_db = SqliteDb(tmp_path / "kern.db", "other")
    other = await other_db.store()
    assert await mine.submit(new_run()) is not None
    assert await other.get("run") is None
    assert await other.submit(new_run()) is not None
    assert await mine.cancel("run")
    assert await other.claim("run", CLAIM) is not None


# --- a file that another program holds locked


@pytest.fixture
def holder(tmp_path: Path) -> sqlite3.Connection:
    """Another program's connection to the file."""
    return sqlite3.connect(tmp_path / "kern.db", isolation_level=None, check_same_thread=False)


async def test_a_file_that_stays_locked_is_said(
    sqlite_db: SqliteDb, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_db._file._connection, "patience", 0.05)
    store = await sqlite_db.store()
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailableError, match=r"kern\.db.*locked"):
        await store.submit(new_run())
    holder.execute("ROLLBACK")
    assert await store.submit(new_run()) is not None
    holder.close()


async def test_a_file_that_is_locked_when_it_is_opened_is_said(
    sqlite_db: SqliteDb, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_db._file._connection, "patience", 0.05)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnavailableError, match=r"kern\.db.*locked"):
        await sqlite_db.store()
    holder.execute("ROLLBACK")
    holder.close()
    assert await (await sqlite_db.store()).submit(new_run()) is not None


async def test_a_lock_is_waited_for(sqlite_db: SqliteDb, holder: sqlite3.Connection) -> None:
    store = await sqlite_db.store()
    holder.execute("BEGIN IMMEDIATE")
    submitting = asyncio.create_task(store.submit(new_run()))
    done, _ = await asyncio.wait([submitting], timeout=0.1)
    assert not done
    holder.execute("COMMIT")
    assert await submitting is not None
    holder.close()


async def test_the_heart_waits_for_a_lock_no_longer_than_a_third_of_the_lease(
    sqlite_db: SqliteDb, holder: sqlite3.Connection
) -> None:
    store = await sqlite_db.store()
    await store.submit(new_run(lease=LEASE))
    heart = sqlite_db.open_heart()
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="locked"):
        await asyncio.to_thread(heart.extend, [("run", 1)], 0.9)
    assert time.monotonic() - began < 20
    holder.execute("ROLLBACK")
    holder.close()
    assert await asyncio.to_thread(heart.extend, [("run", 1)], LEASE) == {"run": False}
    await asyncio.to_thread(heart.close)


async def test_who_reads_does_not_wait_for_a_lock(
    sqlite_db: SqliteDb, holder: sqlite3.Connection
) -> None:
    store = await sqlite_db.store()
    await store.submit(new_run())
    holder.execute("BEGIN IMMEDIATE")
    assert await store.get("run") is not None
    holder.execute("ROLLBACK")
    holder.close()


async def test_a_file_of_the_first_version_is_migrated(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sqlite_db.session_table
    with monkeypatch.context() as patch, closing(sqlite3.connect(sqlite_db._file.path)) as file:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.migrate(file, table)
        file.executescript(
            f'INSERT INTO "{table}_runs" (run_id, session_id, agent_id, status, input, due_at, '
            "created_at) VALUES ('run', 'session', 'agent', 'PENDING', '{}', 0, 0); "
            f"INSERT INTO \"{table}_run_events\" VALUES ('run', 2, 'unknown', '{{}}', 0)"
        )
    store = await sqlite_db.store()
    assert (await sqlite_db.version()).found == len(schema.MIGRATIONS)
    [row] = await store.events("run", 0)
    assert (row.event, row.skippable) == (2, False)
    assert await store.claim("run", CLAIM) is not None
    assert await store.append("run", 1, [replace(row, seq=3, event=4)], False)


async def test_a_file_of_an_older_version_is_migrated(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = len(schema.MIGRATIONS)
    old = await same(sqlite_db).store()
    await old.submit(new_run())
    later = 'ALTER TABLE "{table}_runs" ADD COLUMN mood TEXT;\nUPDATE "{table}_runs" SET mood = 1'
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    assert (await sqlite_db.version()).found == known
    store = await sqlite_db.store()
    assert (await sqlite_db.version()).found == known + 1
    [found] = await execute(store, "SELECT run_id, mood FROM {runs}")
    assert found == {"run_id": "run", "mood": "1"}
    monkeypatch.undo()
    with pytest.raises(SchemaVersionError, match="Upgrade kern"):
        await same(sqlite_db).store()


def test_the_statements_of_the_tables_are_shown() -> None:
    shown = schema.statements("mine")
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in shown:
            made.execute(statement)
        tables = made.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert ("mine_runs",) in tables
    assert schema.statements("mine", len(schema.MIGRATIONS)) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"statuses": (RunStatus.paused,), "agent_id": "agent"},
        {"statuses": (RunStatus.error, RunStatus.pending)},
        {"statuses": (RunStatus.completed,), "user_id": "ada"},
        {"session_id": "session"},
        {"agent_id": "agent"},
        {"user_id": "ada"},
        {"since": datetime.fromtimestamp(2**31, UTC)},
        {},
    ],
)
async def test_every_list_finds_its_runs_by_an_index_in_their_order(
    sqlite_db: SqliteDb, wanted: dict[str, Any]
) -> None:
    store = await sqlite_db.store()
    statements: list[str] = []

    def plan(transaction: Transaction) -> list[str]:
        send = transaction.execute

        def explain(statement: str, **values: object) -> sqlite3.Cursor:
            steps = send(f"EXPLAIN QUERY PLAN {statement}", **values).fetchall()
            statements.extend(step["detail"] for step in steps)
            return send(statement, **values)

        transaction.execute = explain  # type: ignore[method-assign] # to look on
        Reading(sqlite_db._file.tables).find(transaction, RunFilter(**wanted), 9, "run")
        return statements

    assert isinstance(store, SqliteStore)
    steps = await sqlite_db._file.read(plan)
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    if wanted.get("since") is None and wanted:
        assert all("INDEX" in step for step in steps if step.startswith("SEARCH")), steps


# --- many processes


async def test_a_file_opened_by_ten_processes_at_once_is_made_once(
    sqlite_db: SqliteDb, spawn: Spawn
) -> None:
    process = spawn(SUBMIT, *address(sqlite_db))
    assert await asyncio.to_thread(process.wait, 40) == 0
    entries = await (await sqlite_db.store()).queue.dequeue(["agent"], 99)
    assert sorted(entry.run_id for entry in entries) == [str(number) for number in range(10)]


def test_a_file_that_another_process_opens_at_this_moment_is_asked_for_again() -> None:
    class Opened(sqlite3.Connection):
        refusals = 2

        def execute(self, *statement: Any) -> sqlite3.Cursor:
            if self.refusals and "journal_mode" in statement[0]:
                self.refusals -= 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(*statement)

    with closing(sqlite3.connect(":memory:", factory=Opened)) as opened:
        _write_ahead(opened, patience=5)
        assert opened.refusals == 0
        opened.refusals = 2
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            _write_ahead(opened, patience=0)


async def test_two_processes_work_on_one_file(sqlite_db: SqliteDb, spawn: Spawn) -> None:
    """What one claims, the other does not; what one ends, the other sees."""
    store = await sqlite_db.store()
    run_ids = [f"run-{number}" for number in range(20)]
    for run_id in run_ids:
        await store.submit(new_run(run_id))
    script = f"""{OPEN}
async def main():
    store = await db.store()
    print("ready")
    for number in range(20):
        run_id = f"run-{{number}}"
        if await store.claim(run_id, Claim("there", 60)):
            await store.settle(
                Settlement(run_id, 1, RunStatus.completed, '"there"', None, "{{}}")
            )

asyncio.run(main())
"""
    process = spawn(script, *address(sqlite_db))
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    mine = 0
    for run_id in reversed(run_ids):
        if await store.claim(run_id, CLAIM):
            assert (
                settled_as(await store.settle(ending(run_id, output='"here"')))
                is RunStatus.completed
            )
            mine += 1
    assert await asyncio.to_thread(process.wait, 20) == 0
    records = [await store.get(run_id) for run_id in run_ids]
    outputs = [record.output for record in records if record is not None]
    assert outputs.count('"here"') == mine
    assert outputs.count('"there"') == 20 - mine


# --- many event loops and threads


def test_event_loops_that_come_and_go_in_many_threads_share_a_file(sqlite_db: SqliteDb) -> None:
    """The last one to leave closes the file while the next one opens it."""
    failed: list[BaseException] = []

    async def use(run_id: str) -> None:
        store = await sqlite_db.store()
        assert await store.submit(new_run(run_id)) is not None
        assert await store.claim(run_id, CLAIM) is not None

    def work(name: str) -> None:
        try:
            for number in range(15):
                asyncio.run(use(f"{name}-{number}"))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"thread-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


async def test_a_file_stays_open_for_one_who_comes_while_the_last_one_leaves(
    tmp_path: Path,
) -> None:
    """Its thread is still busy with what the one who leaves does not wait for any more."""
    shared = SqliteFile(str(tmp_path / "kern.db"), "runs")
    begun, end = threading.Event(), threading.Event()

    def last_long(transaction: Transaction) -> None:
        begun.set()
        end.wait(20)

    def answer(transaction: Transaction) -> object:
        return transaction.execute("SELECT 1").fetchone()[0]

    shared.enter()
    abandoned = asyncio.create_task(shared.write(last_long))
    await asyncio.to_thread(begun.wait, 20)
    abandoned.cancel()
    leaving = asyncio.create_task(shared.leave())
    await asyncio.wait([abandoned])
    shared.enter()
    asked = asyncio.create_task(shared.write(answer))
    done, _ = await asyncio.wait([asked], timeout=0.1)
    assert not done, "it has to wait"
    end.set()
    assert await asked == 1
    await leaving
    assert await shared.write(answer) == 1
    await shared.leave()


def test_a_file_is_closed_with_the_last_event_loop(sqlite_db: SqliteDb, tmp_path: Path) -> None:
    async def use() -> None:
        await (await sqlite_db.store()).submit(new_run())

    before = {*threading.enumerate()}
    asyncio.run(use())
    # SQLite removes its write-ahead log when the last connection is closed.
    assert [path.name for path in tmp_path.iterdir()] == ["kern.db"]
    for thread in {*threading.enumerate()} - before:
        thread.join(10)
        assert not thread.is_alive()


async def test_a_listener_is_notified_of_an_absence_and_of_the_return(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await sqlite_db.store()
    recorder = Recorder()
    await store.listen(recorder)

    async def fail() -> tuple[int, int]:
        raise DatabaseUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_db._file, "version_seen", fail)
        await recorder.gets(Signal(Kind.away))
    assert await recorder.gets(Signal(Kind.resync)) == [Signal(Kind.resync)]


# --- memory


async def test_every_memory_is_its_own() -> None:
    one, other = InMemoryDb(), InMemoryDb()
    assert await (await one.store()).submit(new_run()) is not None
    assert await (await other.store()).get("run") is None
    assert await (await other.store()).submit(new_run()) is not None


def test_memory_outlives_its_event_loops() -> None:
    database = InMemoryDb()

    async def submit() -> None:
        assert await (await database.store()).submit(new_run()) is not None

    async def claim() -> None:
        claimed = await (await database.store()).claim("run", CLAIM)
        assert claimed is not None
        assert claimed.input == '"Hi"'

    asyncio.run(submit())
    asyncio.run(claim())


async def test_memory_is_shared_between_threads() -> None:
    database = InMemoryDb()
    store = await database.store()

    async def there(number: int) -> None:
        await (await database.store()).submit(new_run(f"run-{number}"))

    def work(number: int) -> None:
        asyncio.run(there(number))

    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(8)))
    entries = await store.queue.dequeue(["agent"], 99)
    assert sorted(entry.run_id for entry in entries) == [f"run-{number}" for number in range(8)]


# --- the end of the interpreter


@pytest.mark.parametrize(
    "ending",
    [
        "asyncio.run(use())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(use())",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(use()); loop.close()",
        "threading.Thread(target=lambda: asyncio.run(stay()), daemon=True).start(); used.wait(20)",
        "asyncio.run(leave())",
    ],
)
async def test_the_interpreter_ends_with_a_database_open(
    sqlite_db: SqliteDb, spawn: Spawn, ending: str
) -> None:
    script = f"""{OPEN}
import threading
from kern.db.in_memory import InMemoryDb

used = threading.Event()
databases = (db, InMemoryDb())

async def use():
    for each in databases:
        store = await each.store()
        await store.listen(lambda signal: None)
        await store.submit(NewRun("run", "session", "agent", None, "{{}}"))
    used.set()

async def stay():
    await use()
    await asyncio.Event().wait()

async def leave():
    await use()
    sys.exit(0)

{ending}
"""
    process = spawn(script, *address(sqlite_db))
    assert await asyncio.to_thread(process.wait, 20) == 0


@pytest.mark.parametrize("path", [5, b"kern.db"], ids=repr)
def test_what_is_no_path_names_no_file(path: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"db_file must be the path of a file, not \w+: write"
    ):
        SqliteDb(path)
