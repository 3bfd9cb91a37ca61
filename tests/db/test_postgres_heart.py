"""The heart and the sweep of PostgreSQL where a server, a lock or a gap keeps them waiting."""

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import asyncpg
import pytest
from stores import EXPIRED, LEASE, execute, new_run

from kern.db.base import Store
from kern.db.postgres import PostgresDb
from kern.db.postgres.heart import PostgresHeart
from kern.db.postgres.store import PostgresStore
from kern.errors import DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus


@pytest.fixture
async def admin(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_db: PostgresDb) -> PostgresStore:
    found = await postgres_db.store()
    assert isinstance(found, PostgresStore)
    return found


async def test_a_beat_waits_for_a_lock_no_longer_than_a_third_of_the_lease(
    postgres_db: PostgresDb, store: PostgresStore, admin: asyncpg.Connection
) -> None:
    await store.submit(new_run(lease=LEASE))
    heart = postgres_db.open_heart()
    beat = [("run", 1)]
    assert await asyncio.to_thread(heart.extend, beat, LEASE) == {"run": False}
    async with admin.transaction():
        await admin.execute(f"SELECT FROM {store.names.runs} FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match="in time"):
            await asyncio.to_thread(heart.extend, beat, 0.9)
        assert time.monotonic() - began < 10
    assert await asyncio.to_thread(heart.extend, beat, LEASE) == {"run": False}
    await asyncio.to_thread(heart.close)


async def test_a_heart_that_has_looked_a_name_up_closes_without_a_new_thread(
    postgres_db: PostgresDb, store: PostgresStore
) -> None:
    """Python 3.12.1 starts none at its end."""
    await store.submit(new_run(lease=LEASE))
    by_name = postgres_db._dsn.replace("127.0.0.1", "localhost")
    heart = PostgresDb(by_name, session_table=postgres_db.session_table).open_heart()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as one, pytest.MonkeyPatch.context() as patch:
        extended = await loop.run_in_executor(one, heart.extend, [("run", 1)], LEASE)
        assert extended == {"run": False}
        patch.setattr(threading.Thread, "start", refuse)
        await loop.run_in_executor(one, heart.close)


async def test_a_beat_after_its_connection_was_lost_connects_anew(
    postgres_db: PostgresDb, store: PostgresStore, admin: asyncpg.Connection
) -> None:
    await store.submit(new_run(lease=LEASE))
    heart = postgres_db.open_heart()
    beat = [("run", 1)]
    await asyncio.to_thread(heart.extend, beat, LEASE)
    assert isinstance(heart, PostgresHeart)
    assert heart._connection is not None
    pid = heart._connection.get_server_pid()
    assert await admin.fetchval("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(DatabaseUnavailableError):
        await asyncio.to_thread(heart.extend, beat, LEASE)
    assert await asyncio.to_thread(heart.extend, beat, LEASE) == {"run": False}
    await asyncio.to_thread(heart.close)


async def test_a_heart_that_closes_while_it_connects_leaves_nothing_open(
    postgres_db: PostgresDb, store: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.submit(new_run(lease=LEASE))

    def beat_for(seconds: float) -> None:
        heart = postgres_db.open_heart()
        with suppress(DatabaseUnavailableError):
            heart.extend([("run", 1)], 3 * seconds)
        time.sleep(0.02)  # What the server has said last is there when the heart closes.
        heart.close()

    gc.collect()  # What earlier tests have left warns before this one.
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for tries in range(48):
            await asyncio.to_thread(beat_for, tries / 4000)
        gc.collect()
    assert [str(each.message) for each in warned] == []
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


async def test_a_beat_goes_on_while_the_event_loop_is_blocked(
    postgres_db: PostgresDb, store: PostgresStore
) -> None:
    await store.submit(new_run(lease=LEASE))
    heart = postgres_db.open_heart()
    beating = asyncio.to_thread(lambda: [heart.extend([("run", 1)], LEASE) for _ in range(20)])
    task = asyncio.create_task(beating)
    await asyncio.sleep(0)
    time.sleep(1)  # noqa: ASYNC251 - this is what blocks the loop
    assert await task == [{"run": False}] * 20
    await asyncio.to_thread(heart.close)


# --- gaps


async def sweep_after(store: Store, seconds: float, heartbeat: float = 1000) -> list[str]:
    """Sweep so many seconds after the last tick."""
    assert isinstance(store, PostgresStore)
    await store.pool.execute(
        f"UPDATE {store.names.tick} SET swept_at = now() - make_interval(secs => $1), "
        "quiet_until = quiet_until - make_interval(secs => $1)",
        seconds,
    )
    swept = await store.sweep(heartbeat)
    assert swept is not None
    return swept.expired


async def test_a_sweep_that_somebody_else_has_made_is_not_made_again(store: PostgresStore) -> None:
    swept = await asyncio.gather(*(store.sweep(1000) for _ in range(5)))
    assert [each is not None for each in swept].count(True) == 1
    assert await store.sweep(1000) is None


async def test_after_a_gap_in_the_ticks_nothing_expires_for_a_heartbeat(
    store: PostgresStore,
) -> None:
    await store.submit(new_run(lease=EXPIRED))
    assert await store.sweep(1000) == ([], 0), "the first tick follows a gap"
    assert await sweep_after(store, 400) == []
    assert await sweep_after(store, 400) == []
    assert await sweep_after(store, 400) == ["run"]


async def test_gaps_that_follow_each_other_hold_expiry_back_only_so_often(
    store: PostgresStore,
) -> None:
    await store.submit(new_run(lease=EXPIRED))
    assert await store.sweep(1000) == ([], 0)
    assert [await sweep_after(store, seconds) for seconds in (10_000, 10_000, 10_000)] == [
        [],
        [],
        ["run"],
    ]


async def test_a_tick_in_a_quiet_time_does_not_make_the_next_gap_the_first(
    store: PostgresStore,
) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await store.sweep(1000)
    gaps_and_ticks = [
        await sweep_after(store, seconds) for seconds in (400, 800, 400, 800, 400, 800)
    ]
    assert gaps_and_ticks == [[], [], [], [], [], ["run"]]


async def test_many_expired_runs_are_swept_in_several_statements(store: PostgresStore) -> None:
    await store.pool.execute(
        f"INSERT INTO {store.names.runs} (run_id, session_id, agent_id, status, attempt, "
        "lease_until) SELECT 'run-' || n, 's', 'agent', 'RUNNING', 1, now() - interval '1 s' "
        "FROM generate_series(1, 1200) AS n"
    )
    await store.sweep(0)
    left = "SELECT count(*) AS left FROM {runs} WHERE status = 'RUNNING'"
    assert (await execute(store, left))[0]["left"] == 0
    assert len(await store.queue.dequeue(["agent"], 2000)) == 1200


async def test_an_attempt_that_is_being_written_is_left_for_the_next_sweep(
    store: PostgresStore, admin: asyncpg.Connection
) -> None:
    for run_id in ("written", "lost"):
        await store.submit(new_run(run_id, lease=EXPIRED))
    async with admin.transaction():
        await admin.execute(f"SELECT FROM {store.names.runs} WHERE run_id = 'written' FOR SHARE")
        assert await store.sweep(0) == (["lost"], 0)
    found = await store.get("written")
    assert found is not None
    assert found.status is RunStatus.running
