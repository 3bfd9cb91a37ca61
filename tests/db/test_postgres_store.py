"""What only PostgreSQL does: transactions with the queue, connections that are lost and kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from database_proxy import Proxy, proxy_to, through
from stores import CLAIM, LEASE, Recorder, ending, execute, new_run, same, settled_as

from kern.db.base import Store
from kern.db.postgres import PostgresDb, connections
from kern.db.postgres.store import PostgresStore
from kern.db.values import Kind, Settled, Signal
from kern.errors import DatabaseError, DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus

RESYNC, CANCEL = Signal(Kind.resync), Signal(Kind.cancel, "run")


@pytest.fixture
async def admin(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    await connection.close()


@pytest.fixture
def own_db(postgres: EmbeddedPostgres, table: str) -> PostgresDb:
    """A database in a schema of its own, with a queue of its own."""
    return PostgresDb(postgres.url, table, f"own_{table}")


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    """The way to the server, which can be cut."""
    with proxy_to(postgres) as running:
        yield running


async def jobs(store: PostgresStore) -> list[str]:
    rows = await store.pool.fetch(
        f"SELECT convert_from(payload, 'UTF8') AS run_id FROM {store.names.queue} ORDER BY id"
    )
    return [row["run_id"] for row in rows]


async def stored(store: Store) -> list[object]:
    return [row["run_id"] for row in await execute(store, "SELECT run_id FROM {runs}")]


async def opened(database: PostgresDb) -> PostgresStore:
    store = await database.store()
    assert isinstance(store, PostgresStore)
    return store


# --- one transaction with the queue


async def test_only_what_may_begin_is_enqueued(own_db: PostgresDb) -> None:
    store = await opened(own_db)
    await store.cancel("pending cancel")
    await asyncio.gather(
        store.submit(new_run("pending")),
        store.submit(new_run("pending cancel")),
        store.submit(new_run("cancelled", cancelled=True)),
        store.submit(new_run("running", lease=LEASE)),
    )
    await store.submit(new_run("pending"))
    assert await jobs(store) == ["pending"]


async def test_a_run_that_begins_where_it_is_accepted_touches_no_table_of_the_queue(
    own_db: PostgresDb,
) -> None:
    store = await opened(own_db)
    await store.pool.execute(f"ALTER TABLE {store.names.queue} RENAME TO away")
    for ordered in (True, False):
        run_id = f"ordered {ordered}"
        await store.submit(new_run(run_id, lease=LEASE, ordered=ordered))
        await store.extend([(run_id, 1)], LEASE)
        assert settled_as(await store.settle(ending(run_id))) is RunStatus.completed
    with pytest.raises(DatabaseError, match="pgqueuer"):
        await store.submit(new_run())


async def test_a_run_that_cannot_be_queued_is_not_accepted(own_db: PostgresDb) -> None:
    store = await opened(own_db)
    await store.pool.execute(f"ALTER TABLE {store.names.queue} ADD CONSTRAINT broken CHECK (false)")
    with pytest.raises(DatabaseError, match="broken"):
        await store.submit(new_run())
    assert await store.get("run") is None
    assert await stored(store) == []
    assert await execute(store, "SELECT * FROM {sessions}") == []

    await store.pool.execute(f"ALTER TABLE {store.names.queue} DROP CONSTRAINT broken")
    assert await store.submit(new_run()) is not None
    assert (await stored(store), await jobs(store)) == (["run"], ["run"])


async def test_a_run_that_cannot_be_stored_is_not_queued(own_db: PostgresDb) -> None:
    store = await opened(own_db)
    await store.pool.execute(f"ALTER TABLE {store.names.runs} ADD CONSTRAINT broken CHECK (false)")
    with pytest.raises(DatabaseError, match="broken"):
        await store.submit(new_run())
    assert (await stored(store), await jobs(store)) == ([], [])


# --- batches


async def test_a_poisoned_submit_fails_alone(own_db: PostgresDb) -> None:
    store = await opened(own_db)
    runs = [new_run(f"run-{number}") for number in range(4)]
    runs.insert(2, new_run("poisoned", input="{"))
    runs.append(new_run("also\x00poisoned"))
    answers = await asyncio.gather(*map(store.submit, runs), return_exceptions=True)
    failed = [
        run.run_id
        for run, answer in zip(runs, answers, strict=True)
        if not answer or isinstance(answer, BaseException)
    ]
    assert failed == ["poisoned", "also\x00poisoned"]
    assert isinstance(answers[2], DatabaseError)
    assert sorted(await jobs(store)) == [f"run-{number}" for number in range(4)]


async def test_a_poisoned_settle_fails_alone(postgres_db: PostgresDb) -> None:
    store = await opened(postgres_db)
    for number in range(4):
        await store.submit(new_run(f"run-{number}", lease=LEASE))
    ends = [ending(f"run-{number}") for number in range(3)]
    ends.insert(1, ending("run-3", output="not JSON"))
    answers = await asyncio.gather(*map(store.settle, ends), return_exceptions=True)
    assert isinstance(answers.pop(1), DatabaseError)
    settled = [each for each in answers if isinstance(each, Settled)]
    assert [each.status for each in settled] == [RunStatus.completed] * 3
    assert (
        settled_as(await store.settle(ending("run-3", status=RunStatus.error))) is RunStatus.error
    )


async def test_runs_that_come_at_once_share_a_statement(own_db: PostgresDb) -> None:
    store = await opened(own_db)
    await asyncio.gather(*(store.submit(new_run(f"run-{number}")) for number in range(20)))
    rows = await execute(store, "SELECT DISTINCT xmin::text FROM {runs}")
    assert len(rows) == 1


# --- deadlocks


@pytest.mark.parametrize("tries", [6, 1])
async def test_a_statement_that_lost_a_deadlock_is_sent_again(
    postgres: EmbeddedPostgres,
    postgres_db: PostgresDb,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    tries: int,
) -> None:
    monkeypatch.setattr(connections, "_PAUSES", connections._PAUSES[: tries - 1])
    store = await opened(postgres_db)
    sequence = f"{store.names.session_table}_sent"
    await admin.execute(f"CREATE SEQUENCE {sequence}")
    other = await asyncpg.connect(postgres.superuser_url)
    await other.execute("SET deadlock_timeout = '30s'")  # So that the store's side is to give in.
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1)")
        sending = asyncio.create_task(
            store._fetch(
                f"SELECT nextval('{sequence}') AS sent, pg_advisory_xact_lock(2)::text, "
                "pg_advisory_xact_lock(1)::text"
            )
        )
        async with asyncio.timeout(20):
            while not await other.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks "
                "WHERE locktype = 'advisory' AND objid = 2 AND granted)"
            ):
                assert not sending.done()
        await other.execute("SELECT pg_advisory_xact_lock(2)")
    await other.close()
    if tries == 1:
        with pytest.raises(DatabaseUnavailableError, match="deadlock"):
            await sending
    else:
        assert [row["sent"] for row in await sending] == [2]


# --- lost connections


async def listener_of(
    admin: asyncpg.Connection, store: PostgresStore, but: int | None = None
) -> int:
    """Return which process of the server a store listens to, once it is that one alone."""
    statement = "SELECT pid FROM pg_stat_activity WHERE query LIKE $1"
    async with asyncio.timeout(20):
        while True:
            rows = await admin.fetch(statement, f"LISTEN%{store.names.channel}%")
            if len(rows) == 1 and rows[0]["pid"] != but:
                return int(rows[0]["pid"])


async def test_a_listener_that_lost_its_connection_comes_back(
    postgres_db: PostgresDb, admin: asyncpg.Connection
) -> None:
    store = await opened(postgres_db)
    await store.submit(new_run(lease=LEASE))
    recorder = Recorder()
    await store.listen(recorder)
    pid = await listener_of(admin, store)
    for _ in range(2):
        assert await admin.fetchval("SELECT pg_terminate_backend($1)", pid)
        await recorder.gets(RESYNC)
        await store.cancel("run")
        await recorder.gets(CANCEL)
        pid = await listener_of(admin, store, but=pid)


async def test_a_store_works_on_after_every_connection_was_lost(
    postgres_db: PostgresDb, admin: asyncpg.Connection
) -> None:
    store = await opened(postgres_db)
    await store.submit(new_run())
    asleep = [asyncio.create_task(store._fetch("SELECT pg_sleep(60)")) for _ in range(3)]
    pids: list[int] = []
    async with asyncio.timeout(20):
        while len(pids) < 3:
            rows = await admin.fetch(
                "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
            )
            pids = [row["pid"] for row in rows]
    await admin.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid", pids)
    for lost in await asyncio.gather(*asleep, return_exceptions=True):
        assert isinstance(lost, DatabaseUnavailableError)
    assert await store.get("run") is not None
    assert await store.claim("run", CLAIM) is not None


async def test_a_server_that_was_away_is_found_again(postgres_db: PostgresDb, proxy: Proxy) -> None:
    store = await opened(through(proxy, postgres_db.session_table))
    await store.submit(new_run(lease=LEASE))
    recorder = Recorder()
    await store.listen(recorder)

    proxy.cut()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError, match=f"127.0.0.1:{proxy.port}"):
            await store.get("run")
    with pytest.raises(DatabaseUnavailableError):
        await store.settle(ending())

    proxy.mend()
    await recorder.gets(RESYNC)
    assert await store.cancel("run")
    await recorder.gets(CANCEL)
    assert settled_as(await store.settle(ending())) is RunStatus.cancelled


# --- the end of an event loop


@pytest.mark.parametrize("busy", [False, True])
async def test_no_connection_outlives_its_event_loop(
    postgres: EmbeddedPostgres, table: str, admin: asyncpg.Connection, busy: bool
) -> None:
    """In a database of its own, which can be dropped when nobody is connected to it."""
    await admin.execute(f"CREATE DATABASE {table}")
    database = PostgresDb(postgres.url.removesuffix("/ai") + f"/{table}")

    async def use() -> int:
        store = await opened(database)
        await store.listen(Recorder())
        await asyncio.gather(*(store.submit(new_run(f"run-{number}")) for number in range(5)))
        await asyncio.gather(*(store.get(f"run-{number}") for number in range(5)))
        if busy:
            asleep = asyncio.create_task(execute(store, "SELECT pg_sleep(60)"))
            settling = asyncio.create_task(store.settle(ending()))
            await asyncio.sleep(0)
            assert not asleep.done()
            assert not settling.done()
        return len(await execute(store, f"SELECT FROM pg_stat_activity WHERE datname = '{table}'"))

    for _ in range(2):
        assert await asyncio.to_thread(lambda: asyncio.run(use())) > 1
    # PostgreSQL refuses where somebody is connected, after 5 seconds' grace.
    await admin.execute(f"DROP DATABASE {table}")


async def test_event_loops_in_two_threads_have_connections_of_their_own(
    postgres_db: PostgresDb,
) -> None:
    store = await opened(postgres_db)

    async def there() -> bool:
        other = await opened(postgres_db)
        await other.submit(new_run())
        return other is not store

    assert await asyncio.to_thread(lambda: asyncio.run(there()))
    assert await store.get("run") is not None
    assert await opened(postgres_db) is store
    assert await opened(same_postgres(postgres_db)) is not store


def same_postgres(database: PostgresDb) -> PostgresDb:
    found = same(database)
    assert isinstance(found, PostgresDb)
    return found


async def test_who_begins_to_watch_a_run_that_is_being_settled_is_shown_its_end(
    postgres_db: PostgresDb, admin: asyncpg.Connection
) -> None:
    """Nobody would notify of it: when it was settled, it was not watched."""
    store = await opened(postgres_db)
    await store.submit(new_run(lease=LEASE))
    async with admin.transaction():
        await admin.execute(
            f"UPDATE {store.names.runs} SET status = 'COMPLETED' WHERE run_id = 'run'"
        )
        watching = asyncio.create_task(store.watch("run"))
        async with asyncio.timeout(20):
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = $1::xid"
            own = await admin.fetchval("SELECT pg_current_xact_id()::xid")
            while not await admin.fetchval(waits, own):  # noqa: ASYNC110 # it has no event
                await asyncio.sleep(0.01)
    record = await watching
    assert record is not None
    assert record.status is RunStatus.completed


async def test_a_close_that_is_interrupted_leaves_no_connection_open(
    postgres_db: PostgresDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    await store.listen(lambda _: None)
    connections = store.connections
    listening = connections._listener._connection
    assert listening is not None

    async def hang() -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store.queue, "close", hang)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
    assert listening.is_closed()
    assert connections.pool.get_size() == 0
