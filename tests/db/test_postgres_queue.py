"""What PostgreSQL's queue does beyond the port: who is woken, and what is handed out again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from deliveries import Deliveries
from stores import CLAIM, LEASE, ending, execute, make_due, new_run, same, sweep

from kern.db.postgres import PostgresDb
from kern.db.postgres.statements import sweeping
from kern.db.postgres.store import PostgresStore
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def own_db(postgres: EmbeddedPostgres, table: str) -> PostgresDb:
    """A database in a schema of its own, with a queue of its own."""
    return PostgresDb(postgres.url, table, f"own_{table}")


@pytest.fixture
async def store(own_db: PostgresDb) -> PostgresStore:
    found = await own_db.store()
    assert isinstance(found, PostgresStore)
    return found


@pytest.fixture
async def notified(
    store: PostgresStore, postgres: EmbeddedPostgres
) -> AsyncIterator["asyncio.Queue[str]"]:
    """Every notification of the database, in order."""
    payloads: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(postgres.url)
    for channel in (store.names.channel, f"kern_queue_{store.names.schema}"):
        await listener.add_listener(channel, lambda *args: payloads.put_nowait(str(args[-1])))
    yield payloads
    await listener.close()


async def all_notified(store: PostgresStore, notified: "asyncio.Queue[str]") -> list[str]:
    """Return what was notified until now."""
    await store.pool.execute(f"NOTIFY {store.names.channel}, 'the end'")
    found: list[str] = []
    async with asyncio.timeout(20):
        while not found or found[-1] != "the end":
            found.append(await notified.get())
    return found[:-1]


async def entries(store: PostgresStore) -> list[tuple[str, str]]:
    rows = await store.pool.fetch(
        f"SELECT convert_from(payload, 'UTF8') AS run_id, status::text FROM {store.names.queue} "
        "ORDER BY id"
    )
    return [(row["run_id"], row["status"]) for row in rows]


# --- who is woken


async def test_nobody_is_notified_of_a_run_that_nobody_waits_for(
    store: PostgresStore, notified: "asyncio.Queue[str]"
) -> None:
    for ordered in (True, False):
        await store.submit(new_run(f"{ordered}", lease=LEASE, ordered=ordered))
        await store.settle(ending(f"{ordered}"))
    await store.cancel("pending cancel")
    await sweep(store)
    assert await all_notified(store, notified) == []


async def test_workers_are_woken_by_what_becomes_due_and_by_nothing_else(
    store: PostgresStore,
) -> None:
    woken: asyncio.Queue[None] = asyncio.Queue()

    async def is_woken_once() -> bool:
        async with asyncio.timeout(20):
            await woken.get()
        return woken.empty()

    await store.queue.listen(lambda: woken.put_nowait(None))
    await store.submit(new_run("a", ordered=True))
    assert await is_woken_once()
    await store.submit(new_run("b", ordered=True))
    worker = Deliveries(store)
    first = await worker.deliver()
    assert first is not None
    assert await store.queue.dequeue(["agent"], 1) == []
    await worker.end(first)
    assert await is_woken_once()
    await store.submit(new_run("last"))
    assert await is_woken_once()


# --- entries


async def test_an_entry_that_nobody_acknowledged_is_handed_out_again(
    store: PostgresStore,
) -> None:
    await store.submit(new_run())
    [lost] = await store.queue.dequeue(["agent"], 9)
    assert await store.queue.dequeue(["agent"], 9) == []
    await store.pool.execute(f"UPDATE {store.names.queue} SET heartbeat = now() - interval '1 min'")
    [again] = await store.queue.dequeue(["agent"], 9)
    assert (again.run_id, again.agent_id) == (lost.run_id, lost.agent_id) == ("run", "agent")
    await store.queue.acknowledge(again)
    await store.queue.acknowledge(lost)
    assert await entries(store) == []


@pytest.mark.parametrize(("heartbeat", "is_lost"), [(1.0, True), (60.0, False)])
async def test_an_entry_is_lost_after_a_heartbeat_but_not_before_a_busy_server_may_answer(
    postgres: EmbeddedPostgres, table: str, heartbeat: float, is_lost: bool
) -> None:
    async with PostgresDb(postgres.url, table, f"own_{table}", heartbeat=heartbeat) as db:
        store = await db.store()
        assert isinstance(store, PostgresStore)
        await store.submit(new_run())
        assert len(await store.queue.dequeue(["agent"], 9)) == 1
        for seconds, again in ((2, False), (7, is_lost)):
            past = f"now() - interval '{seconds} s'"
            await store.pool.execute(f"UPDATE {store.names.queue} SET heartbeat = {past}")
            assert len(await store.queue.dequeue(["agent"], 9)) == int(again)


async def test_what_becomes_due_while_it_is_asked_what_is_next_is_looked_for_soon(
    store: PostgresStore,
) -> None:
    assert await store.queue.next_due(["agent"]) is None
    await store.submit(new_run(run_at=TOMORROW))
    assert await store.queue.dequeue(["agent"], 9) == []
    due = await store.queue.next_due(["agent"])
    assert due is not None
    assert due > 3600
    await store.pool.execute(f"UPDATE {store.names.queue} SET execute_after = now()")
    assert await store.queue.next_due(["agent"]) == 0.1
    assert len(await store.queue.dequeue(["agent"], 9)) == 1
    assert await store.queue.next_due(["agent"]) is None


async def test_entries_that_are_acknowledged_at_once_share_a_statement(
    store: PostgresStore,
) -> None:
    await asyncio.gather(*(store.submit(new_run(f"run-{number}")) for number in range(20)))
    found = await store.queue.dequeue(["agent"], 20)
    await asyncio.gather(*map(store.queue.acknowledge, found))
    assert await entries(store) == []
    statement = f'SELECT xmin FROM "{store.names.schema}".pgqueuer_log WHERE status = $1'
    rows = await store.pool.fetch(statement.replace("xmin", "DISTINCT xmin::text"), "successful")
    assert len(rows) <= 2


async def test_a_run_that_becomes_due_while_its_last_entry_is_on_its_way_out_has_another(
    store: PostgresStore,
) -> None:
    """Its claim found that it has to wait; before the worker says so, it need not any more."""
    await store.submit(new_run("holder", ordered=True, lease=LEASE))
    await store.submit(new_run("run", ordered=True, run_at=TOMORROW))
    await make_due(store, "run")
    await store.pool.execute(f"UPDATE {store.names.queue} SET execute_after = now()")
    [entry] = await store.queue.dequeue(["agent"], 9)
    assert await store.claim("run", CLAIM) is None
    await store.settle(ending("holder"))
    await store.queue.acknowledge(entry)
    assert await Deliveries(store).execute_all() == ["run"]


# --- what was lost


async def test_due_runs_whose_entries_were_lost_are_enqueued_again_once(
    store: PostgresStore, own_db: PostgresDb, notified: "asyncio.Queue[str]"
) -> None:
    for run_id in ("lost", "kept", "fresh"):
        await store.submit(new_run(run_id))
    await store.submit(new_run("later", run_at=TOMORROW))
    long_ago = "UPDATE {runs} SET due_at = due_at - interval '40 s' WHERE run_id IN ({1}, {2})"
    await execute(store, long_ago, "lost", "kept")
    await store.pool.execute(f"DELETE FROM {store.names.queue}")
    other = await same(own_db).store()
    assert (await sweep(other)).enqueued == 2
    assert (await sweep(store)).enqueued == 0
    assert sorted(await Deliveries(store).offered()) == ["kept", "lost"]
    await all_notified(store, notified)
    assert (await sweep(store)).enqueued == 0
    assert await all_notified(store, notified) == [], "nobody is woken where nothing is missing"


async def test_a_sweep_enqueues_a_page_and_goes_on_from_there(
    own_db: PostgresDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "DUE", 5)
    monkeypatch.setattr(sweeping, "ENQUEUED", 2)
    store = await own_db.store()
    assert isinstance(store, PostgresStore)
    await asyncio.gather(*(store.submit(new_run(f"run-{number}")) for number in range(12)))
    await execute(store, "UPDATE {runs} SET due_at = now() - interval '40 s'")
    await store.pool.execute(f"DELETE FROM {store.names.queue}")
    enqueued = [(await sweep(store)).enqueued for _ in range(9)]
    assert (sum(enqueued), max(enqueued)) == (12, 2)
    assert len(await Deliveries(store).offered()) == 12


async def test_the_log_of_the_queue_is_cleared_in_steps(store: PostgresStore) -> None:
    await store.submit(new_run())
    assert await Deliveries(store).execute_all() == ["run"]
    log = f'"{store.names.schema}".pgqueuer_log'
    assert await store.retention.clean() == 0
    await store.pool.execute(f"UPDATE {log} SET created = created - interval '2 hours'")
    assert await store.retention.clean() == 2
    assert await store.pool.fetchval(f"SELECT count(*) FROM {log}") == 0
    found = await store.get("run")
    assert found is not None
    assert found.status is RunStatus.completed
