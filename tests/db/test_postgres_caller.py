"""A run accepted in the transaction of a caller's own connection to PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from deliveries import Deliveries
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from stores import CLAIM, LEASE, ending, new_run

from kern.db.postgres import PostgresDb
from kern.db.postgres.statements import accepting
from kern.db.postgres.store import PostgresStore
from kern.db.values import Accepted
from kern.errors import ConfigurationError, RunConflictError
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus

PENDING, CANCELLED = RunStatus.pending, RunStatus.cancelled


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for locks for a tenth of the time."""
    monkeypatch.setattr(accepting, "BATCH_LOCK_TIMEOUT", 0.1)
    for module in ("statements.accepting", "accepting", "caller"):
        monkeypatch.setattr(f"kern.db.postgres.{module}.LOCK_TIMEOUT", 0.5)


@pytest.fixture
async def store(postgres_db: PostgresDb, _hurry: None) -> PostgresStore:
    found = await postgres_db.store()
    assert isinstance(found, PostgresStore)
    return found


@pytest.fixture
async def caller(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    await connection.close()


@pytest.fixture
async def engine(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(postgres.url.replace("postgresql", "postgresql+asyncpg", 1))
    yield engine
    await engine.dispose()


async def status_of(store: PostgresStore, run_id: str = "run") -> RunStatus | None:
    found = await store.get(run_id)
    return None if found is None else found.status


# --- the transaction


async def test_a_run_exists_once_the_caller_has_committed_and_then_begins(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    due = asyncio.Event()
    await store.queue.listen(due.set)
    worker = Deliveries(store)
    async with caller.transaction():
        accepted = await store.submit_with(caller, new_run(ordered=True, metadata='{"a":1}'))
        assert accepted is not None
        assert (accepted.status, accepted.waiting) == (PENDING, False)
        assert await status_of(store) is None
        assert await worker.deliver() is None
        assert not due.is_set()
    async with asyncio.timeout(20):
        await due.wait()
    record = await worker.deliver()
    assert record is not None
    assert (record.run_id, record.input, record.metadata) == ("run", '"Hi"', '{"a":1}')
    await worker.end(record)


async def test_a_run_is_rolled_back_with_the_caller(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    transaction = caller.transaction()
    await transaction.start()
    await store.submit_with(caller, new_run())
    await transaction.rollback()
    assert await status_of(store) is None
    assert await Deliveries(store).offered() == []
    assert await store.submit(new_run()) is not None


async def test_the_transaction_may_have_been_begun_in_any_way_and_is_left_as_it_was(
    store: PostgresStore, postgres: EmbeddedPostgres, caller: asyncpg.Connection
) -> None:
    await caller.execute("BEGIN; SET LOCAL lock_timeout = '7s'")
    assert await store.submit_with(caller, new_run("by hand")) is not None
    assert await store.submit_with(caller, new_run("by hand")) is None
    assert await caller.fetchval("SHOW lock_timeout") == "7s"
    await caller.execute("COMMIT")
    async with asyncpg.create_pool(postgres.url, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            assert await store.submit_with(connection, new_run("pool")) is not None
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW lock_timeout") == "0"
    assert await Deliveries(store).offered() == ["by hand", "pool"]


async def test_sqlalchemy_commits_a_run_with_its_own_rows(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with engine.begin() as connection:
        assert await store.submit_with(connection, new_run("connection", metadata='{"a":1}'))
        assert await status_of(store, "connection") is None
    async with AsyncSession(engine) as session, session.begin():
        assert await store.submit_with(session, new_run("session", run_at=later))
    async with engine.connect() as connection:
        assert await store.submit_with(connection, new_run("forgotten"))
    assert [await status_of(store, each) for each in ("connection", "session", "forgotten")] == [
        *(PENDING, PENDING, None)
    ]
    found = await store.get("session")
    assert found is not None
    assert found.run_at == later
    assert await Deliveries(store).offered() == ["connection"]


# --- what is refused


async def test_what_is_no_connection_or_in_no_transaction_is_refused(
    store: PostgresStore, caller: asyncpg.Connection, engine: AsyncEngine
) -> None:
    for wrong in (None, "postgresql://", store):
        with pytest.raises(ConfigurationError, match="connection must be one of asyncpg"):
            await store.submit_with(wrong, new_run())
    with pytest.raises(ConfigurationError, match="in no transaction"):
        await store.submit_with(caller, new_run())
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        with pytest.raises(ConfigurationError, match="in no transaction"):
            await store.submit_with(connection, new_run())
    assert await status_of(store) is None


async def test_a_connection_to_another_database_is_refused(
    store: PostgresStore, postgres: EmbeddedPostgres, table: str, caller: asyncpg.Connection
) -> None:
    await caller.execute(f"CREATE DATABASE {table}")
    other = await asyncpg.connect(postgres.url.removesuffix("/ai") + f"/{table}")
    try:
        async with other.transaction():
            with pytest.raises(ConfigurationError, match="another database"):
                await store.submit_with(other, new_run())
            assert await other.fetchval("SELECT 1") == 1, "the transaction goes on"
    finally:
        await other.close()
        await caller.execute(f"DROP DATABASE {table}")


# --- an id that is not committed yet


async def test_who_meets_an_id_that_is_not_committed_says_so_and_keeps_nobody_waiting(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    async with caller.transaction():
        await store.submit_with(caller, new_run("held", session_id="its own"))
        others = [new_run(f"run-{number}") for number in range(5)]
        answers = await asyncio.gather(
            store.submit(others[0]),
            store.submit(new_run("held")),
            *map(store.submit, others[1:]),
            store.cancel("held"),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [
            *(Accepted, RunConflictError, *[Accepted] * 4, RunConflictError)
        ]
        for number in (1, 6):
            assert "'held'" in str(answers[number])
    assert await status_of(store, "held") is PENDING
    assert await store.cancel("held")
    assert await status_of(store, "held") is CANCELLED


async def test_a_short_heartbeat_makes_the_wait_for_an_id_shorter_not_another_error(
    postgres: EmbeddedPostgres,
    table: str,
    caller: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "LOCK_TIMEOUT", 5.0)
    store = await PostgresDb(postgres.url, table, heartbeat=3).store()
    async with caller.transaction():
        await store.submit_with(caller, new_run("held"))
        acts = (store.submit(new_run("held")), store.cancel("held"))
        for said in await asyncio.gather(*acts, return_exceptions=True):
            assert isinstance(said, RunConflictError)
            assert "within 1.6 s" in str(said)


async def test_a_caller_who_meets_an_id_that_is_not_committed_may_go_on(
    store: PostgresStore, postgres: EmbeddedPostgres, caller: asyncpg.Connection
) -> None:
    other = await asyncpg.connect(postgres.url)
    async with caller.transaction(), other.transaction():
        await store.submit_with(caller, new_run("held"))
        with pytest.raises(RunConflictError, match="'held'"):
            await store.submit_with(other, new_run("held"))
        assert await other.fetchval("SHOW lock_timeout") == "0"
        await store.submit_with(other, new_run("free", session_id="another"))
    await other.close()
    assert [await status_of(store, each) for each in ("held", "free")] == [PENDING, PENDING]


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch, _hurry: None) -> None:
    """Wait for locks for as long as a busy machine may take to commit."""
    for module in ("statements.accepting", "accepting"):
        monkeypatch.setattr(f"kern.db.postgres.{module}.LOCK_TIMEOUT", 60.0)


@pytest.mark.usefixtures("_patience")
async def test_a_cancel_and_a_submit_wait_for_the_commit_and_agree(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    async with caller.transaction():
        await store.submit_with(caller, new_run("cancelled"))
        await store.submit_with(caller, new_run("submitted"))
        acts = [
            asyncio.create_task(store.cancel("cancelled")),
            asyncio.create_task(store.submit(new_run("submitted"))),
        ]
        async with asyncio.timeout(20):
            while await caller.fetchval(
                "SELECT count(*) < 2, pg_stat_clear_snapshot()::text FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock'"
            ):
                assert not any(act.done() for act in acts)
    assert await asyncio.gather(*acts) == [True, None]
    assert await status_of(store, "cancelled") is CANCELLED
    assert await status_of(store, "submitted") is PENDING


async def test_a_pending_cancel_ends_a_run_of_a_caller(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    await store.cancel("run")
    async with caller.transaction():
        accepted = await store.submit_with(caller, new_run(webhook="https://x.test"))
        assert accepted is not None
        assert accepted.status is CANCELLED
    assert [each.run_id for each in await store.outbox.take(9, LEASE)] == ["run"]


# --- order and parents


async def test_no_session_is_locked_and_order_is_that_of_delivery(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    await store.submit(new_run("first", ordered=True, lease=LEASE))
    async with caller.transaction():
        await store.submit_with(caller, new_run("of the caller", ordered=True))
        async with asyncio.timeout(20):
            accepted = await store.submit(new_run("later", ordered=True))
        assert accepted is not None
        assert accepted.waiting
    worker = Deliveries(store)
    assert await worker.deliver() is None
    found = await store.get("of the caller")
    assert found is not None
    assert found.waiting
    await store.settle(ending("first"))
    assert sorted(await worker.execute_all()) == ["later", "of the caller"]


async def test_a_session_that_is_pruned_before_the_commit_is_made_again(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    await store.submit(new_run("old", lease=LEASE))
    await store.settle(ending("old"))
    async with caller.transaction():
        await store.submit_with(caller, new_run("run", ordered=True))
        pruned = await store.retention.prune(datetime.now(UTC) + timedelta(days=1), 0, 9)
        assert pruned.runs == 1
    assert await store.pool.fetch(f"SELECT FROM {store.names.sessions}") == []
    assert await Deliveries(store).execute_all() == ["run"]


async def test_the_claim_ends_the_child_of_a_cancelled_parent(
    store: PostgresStore, caller: asyncpg.Connection
) -> None:
    await store.submit(new_run("parent", lease=LEASE))
    await store.cancel("parent")
    async with caller.transaction():
        accepted = await store.submit_with(caller, new_run("child", parent_run_id="parent"))
    assert accepted is not None
    assert accepted.status is PENDING
    claimed = await store.claim("child", CLAIM)
    assert claimed is not None
    assert claimed.status is CANCELLED
