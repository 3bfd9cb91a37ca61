"""What only SQLite does: a file that many processes open, and memory that one object holds."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from stores import LEASE, OPEN, SWARM, Spawn, address, ending, new_run, same

from kern.db.in_memory import InMemoryDb
from kern.db.sqlite import SqliteDb, file
from kern.db.sqlite.file import SqliteFile
from kern.errors import DatabaseError, DatabaseUnavailableError, SchemaVersionError
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


async def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "kern.db"
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
    path = tmp_path / "later" / "kern.db"
    database = SqliteDb(path)
    with pytest.raises(DatabaseUnavailableError):
        await database.store()
    path.parent.mkdir()
    assert await (await database.store()).submit(new_run()) is not None


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
    monkeypatch.setattr(file, "_PATIENCE", 0.05)
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
    monkeypatch.setattr(file, "_PATIENCE", 0.05)
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


async def test_a_file_of_the_first_version_is_migrated(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(file, "_MIGRATIONS", file._MIGRATIONS[:1])
        old = SqliteFile(sqlite_db._file.path, sqlite_db.session_table)._open()
    old.execute(
        f'INSERT INTO "{sqlite_db.session_table}_runs" (run_id, session_id, agent_id, status, '
        "input, created_at) VALUES ('old', 'session', 'agent', 'PENDING', '1', 1)"
    )
    old.close()
    store = await sqlite_db.store()
    for run_id in "ab":
        await store.submit(new_run(run_id, ordered=True))
    assert [await store.before(run_id) for run_id in ("old", "a", "b")] == [[], [], ["a"]]
    found = await store.claim("old", LEASE, 1)
    assert found is not None
    assert (found.input, found.failures, found.webhook) == ("1", 0, None)
    assert await store.settle(ending("old")) is RunStatus.completed


# --- many processes


async def test_a_file_opened_by_ten_processes_at_once_is_made_once(
    sqlite_db: SqliteDb, spawn: Spawn
) -> None:
    process = spawn(SUBMIT, *address(sqlite_db))
    assert await asyncio.to_thread(process.wait, 40) == 0
    runs = await (await sqlite_db.store()).unfinished(["agent"])
    assert sorted(run.run_id for run in runs) == [str(number) for number in range(10)]


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
        if await store.claim(run_id, 60):
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
            assert await store.settle(ending(run_id, output='"here"')) is RunStatus.completed
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

    def last_long(connection: sqlite3.Connection) -> None:
        begun.set()
        end.wait(20)

    def answer(connection: sqlite3.Connection) -> object:
        return connection.execute("SELECT 1").fetchone()[0]

    shared.enter()
    abandoned = asyncio.create_task(shared.call(last_long))
    await asyncio.to_thread(begun.wait, 20)
    abandoned.cancel()
    leaving = asyncio.create_task(shared.leave())
    await asyncio.wait([abandoned])
    shared.enter()
    asked = asyncio.create_task(shared.call(answer))
    done, _ = await asyncio.wait([asked], timeout=0.1)
    assert not done, "it waits for its turn"
    end.set()
    assert await asked == 1
    await leaving
    assert await shared.call(answer) == 1
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
    waiting = await store.unfinished(["agent"])
    assert sorted(run.run_id for run in waiting) == [f"run-{number}" for number in range(8)]


# --- the end of the interpreter


@pytest.mark.parametrize("where", ["file", "memory"])
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
    sqlite_db: SqliteDb, spawn: Spawn, where: str, ending: str
) -> None:
    script = f"""{OPEN}
import threading
from kern.db.in_memory import InMemoryDb

used = threading.Event()
if {where == "memory"}:
    db = InMemoryDb()

async def use():
    store = await db.store()
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
