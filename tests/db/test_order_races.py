"""In PostgreSQL statements do not see the latest commits, and yet hand off locks and wake parents.

Each test holds a row locked, so that a statement has begun and looked before another one comes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from deliveries import Deliveries
from journals import DONE, row
from msgspec.structs import replace
from stores import CLAIM, ending, execute, new_run, settled_as, sweep

from kern.db.postgres import PostgresDb, connections
from kern.db.postgres.store import PostgresStore
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus
from kern.run.record import NewRun

PENDING, ERROR, PAUSED = RunStatus.pending, RunStatus.error, RunStatus.paused
CANCELLED, COMPLETED = RunStatus.cancelled, RunStatus.completed


def ordered(run_id: str, **changes: Any) -> NewRun:
    """Return a run that waits for the earlier ones of its session."""
    return new_run(run_id, ordered=True, **changes)


@pytest.fixture
async def store(postgres_db: PostgresDb) -> PostgresStore:
    found = await postgres_db.store()
    assert isinstance(found, PostgresStore)
    return found


@pytest.fixture
def worker(store: PostgresStore) -> Deliveries:
    return Deliveries(store)


Begin = Callable[[Awaitable[Any]], Awaitable["asyncio.Task[Any]"]]


class Gate:
    """Rows that are locked, and the statements that wait for them."""

    def __init__(self, connection: asyncpg.Connection, store: PostgresStore) -> None:
        self.connection = connection
        self._store = store
        self._waiting = 0

    @asynccontextmanager
    async def holding(self, row_id: str) -> AsyncIterator[None]:
        """Keep the row of a run or of a session locked."""
        names = self._store.names
        async with self.connection.transaction():
            for table, key in ((names.runs, "run_id"), (names.sessions, "session_id")):
                await self.connection.execute(
                    f"SELECT FROM {table} WHERE {key} = $1 FOR UPDATE", row_id
                )
            yield
        self._waiting = 0

    async def begin(self, step: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Have a step send its statement, and wait until that waits for the row."""
        task = asyncio.ensure_future(step)
        self._waiting += 1
        async with asyncio.timeout(20):
            while await self._blocked() < self._waiting:
                assert not task.done(), "it did not wait"
        return task

    async def _blocked(self) -> int:
        # A transaction sees the activity as it was when it looked first.
        await self.connection.execute("SELECT pg_stat_clear_snapshot()")
        count: int = await self.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND wait_event IN ('transactionid', 'tuple', 'advisory')"
        )
        return count


@pytest.fixture
async def gate(postgres: EmbeddedPostgres, store: PostgresStore) -> AsyncIterator[Gate]:
    connection = await asyncpg.connect(postgres.url)
    yield Gate(connection, store)
    await connection.close()


async def accept(store: PostgresStore, *run_ids: str) -> None:
    for run_id in run_ids:
        await store.submit(ordered(run_id))


# --- an end, and who comes meanwhile


async def test_a_run_accepted_while_the_last_one_ends_gets_the_lock(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    await accept(store, "a")
    await store.claim("a", CLAIM)
    async with gate.holding("a"):
        settling = await gate.begin(store.settle(ending("a")))
        accepted = await store.submit(ordered("b"))
    assert settled_as(await settling) is COMPLETED
    assert accepted is not None
    assert accepted.waiting
    assert await worker.execute_all() == ["b"]


async def test_a_run_retried_while_the_last_one_ends_gets_the_lock(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    """Also where nobody has requested the lock since it did so itself."""
    await accept(store, "a", "b", "c")
    await fail(store, "a")
    await store.resume("a", ERROR, 1, [])
    assert await store.claim("a", CLAIM) is None
    await store.claim("b", CLAIM)
    await store.settle(ending("b"))
    await fail(store, "a")
    await store.claim("c", CLAIM)
    async with gate.holding("c"):
        settling = await gate.begin(store.settle(ending("c")))
        await store.resume("a", ERROR, 2, [])
        assert await store.claim("a", CLAIM) is None
    assert settled_as(await settling) is COMPLETED
    assert await worker.execute_all() == ["a"]


async def fail(store: PostgresStore, run_id: str) -> None:
    record = await store.claim(run_id, CLAIM)
    assert record is not None
    await store.settle(ending(run_id, record.attempt, ERROR))


# --- an end, and who stops waiting meanwhile


async def test_a_run_cancelled_while_it_is_handed_the_lock_hands_it_off(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    await accept(store, "a", "b", "c")
    await store.claim("a", CLAIM)
    async with gate.holding("b"):
        settling = await gate.begin(store.settle(ending("a")))
        cancelling = await gate.begin(store.cancel("b"))
    assert (settled_as(await settling), await cancelling) == (COMPLETED, True)
    assert await holder(store) == "c"
    assert await worker.execute_all() == ["c"]


@pytest.mark.parametrize("step", ["cancel", "withdraw"])
async def test_a_run_that_stops_waiting_before_it_is_handed_the_lock_is_passed_over(
    store: PostgresStore, worker: Deliveries, gate: Gate, step: str
) -> None:
    await accept(store, "a", "b", "c")
    await store.claim("a", CLAIM)
    async with gate.holding("b"):
        stopping = await gate.begin(getattr(store, step)("b"))
        settling = await gate.begin(store.settle(ending("a")))
    assert (settled_as(await settling), await stopping) == (COMPLETED, True)
    assert await worker.execute_all() == ["c"]


async def test_a_run_that_is_handed_the_lock_is_not_withdrawn(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    await accept(store, "a", "b")
    await store.claim("a", CLAIM)
    async with gate.holding("b"):
        settling = await gate.begin(store.settle(ending("a")))
        withdrawing = await gate.begin(store.withdraw("b"))
    assert (settled_as(await settling), await withdrawing) == (COMPLETED, False)
    assert await worker.execute_all() == ["b"]


async def test_a_paused_run_resumed_while_it_is_cancelled_ends_once(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    await accept(store, "a", "b")
    await store.claim("a", CLAIM)
    await store.settle(ending("a", status=PAUSED))
    async with gate.holding("a"):
        cancelling = await gate.begin(store.cancel("a"))
        resuming = await gate.begin(store.resume("a", PAUSED, 1, []))
    assert (await cancelling, await resuming) == (True, None)
    assert await worker.execute_all() == ["b"]


async def test_a_run_cancelled_while_it_requests_the_lock_hands_it_off(
    store: PostgresStore, worker: Deliveries, gate: Gate
) -> None:
    await accept(store, "a")
    await fail(store, "a")
    await store.resume("a", ERROR, 1, [])
    async with gate.holding("session"):
        claiming = await gate.begin(store.claim("a", CLAIM))
        assert await store.cancel("a")
    assert await claiming is None
    accepted = await store.submit(ordered("b"))
    assert accepted is not None
    assert not accepted.waiting


# --- an id that is taken meanwhile


@pytest.mark.parametrize("session", ["session", "other", None])
async def test_a_run_whose_id_is_taken_meanwhile_does_not_keep_the_lock(
    store: PostgresStore, gate: Gate, session: str | None
) -> None:
    """By a run, or by a pending cancel."""
    connection = gate.connection
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        f"INSERT INTO {store.names.runs} (run_id, session_id, status) VALUES ('a', $1, $2)",
        session,
        "COMPLETED" if session else "CANCELLED",
    )
    submitting = await gate.begin(store.submit(ordered("a")))
    await transaction.commit()
    accepted = await submitting
    assert (accepted and accepted.status) == (None if session else CANCELLED)
    assert await holder(store) is None


async def holder(store: PostgresStore, session: str = "session") -> object:
    statement = "SELECT lock_run_id FROM {sessions} WHERE session_id = {1}"
    rows = await execute(store, statement, session)
    return rows[0]["lock_run_id"]


# --- what a process that was lost has left


async def test_what_was_lost_between_two_statements_is_made_good(
    store: PostgresStore, worker: Deliveries, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_session_id: str, _holder: str | None) -> None:
        """End before the second statement."""

    await accept(store, "a")
    await store.claim("a", CLAIM)
    with monkeypatch.context() as patch:
        patch.setattr(store._hand_off, "of", lost)
        async with gate.holding("a"):
            settling = await gate.begin(store.settle(ending("a")))
            await accept(store, "b", "c")
        await settling
        assert await worker.execute_all() == []
    await sweep(store)
    assert await worker.execute_all() == ["b", "c"]


@pytest.mark.parametrize("holder", ["'a'", "NULL", "'c'"])
async def test_a_lock_that_nobody_uses_is_handed_off_by_a_sweep(
    store: PostgresStore, worker: Deliveries, holder: str
) -> None:
    await accept(store, "a", "b", "c")
    await execute(store, "DELETE FROM {runs} WHERE run_id = 'a'")
    await execute(store, f"UPDATE {{sessions}} SET lock_run_id = {holder}")
    await sweep(store)
    assert await worker.execute_all() == ["b", "c"]


async def test_a_lock_that_is_used_is_left_alone_by_a_sweep(
    store: PostgresStore, worker: Deliveries
) -> None:
    await accept(store, "a", "b")
    await sweep(store)
    assert await worker.offered() == ["a"]
    await store.claim("a", CLAIM)
    await sweep(store)
    await store.settle(ending("a", status=PAUSED))
    await sweep(store)
    assert await worker.execute_all() == []


# --- the runs of a user


async def test_a_run_that_meets_a_limit_while_the_one_that_it_waits_for_ends_is_admitted(
    store: PostgresStore, gate: Gate
) -> None:
    worker = Deliveries(store, user_limit=1)
    for run_id in "ab":
        await store.submit(new_run(run_id, user_id="ada"))
    first = await worker.deliver()
    assert first is not None
    entry = await worker.take()
    assert entry is not None
    async with gate.holding("b"):
        claiming = await gate.begin(store.claim("b", worker.claim))
        assert settled_as(await store.settle(ending("a"))) is COMPLETED
        making_due = await gate.begin(worker.make_due("a"))
    assert await claiming is None
    await making_due
    await store.queue.acknowledge(entry)
    assert await worker.execute_all() == ["b"]


# --- rows that many statements lock


async def test_statements_that_lock_the_same_rows_lock_them_in_one_order(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are asked: nobody waits for somebody who waits for them."""
    monkeypatch.setattr(connections, "_PAUSES", ())  # Who is in a deadlock says so.
    run_ids = [f"run-{number}" for number in range(30)]
    for run_id in run_ids:
        await store.submit(new_run(run_id, session_id=run_id, ordered=True, lease=60.0))

    async def extend(order: list[str]) -> None:
        for _ in range(30):
            await store.extend([(run_id, 1) for run_id in order], 60.0)

    async def append(order: list[str], first: int) -> None:
        for seq in range(first, first + 30):
            rows = [row(run_id, seq, DONE) for run_id in order]
            await asyncio.gather(*(store.append(each.run_id, 1, [each], False) for each in rows))

    backwards = run_ids[::-1]
    await asyncio.gather(
        extend(run_ids), extend(backwards), append(run_ids, 1), append(backwards, 100)
    )
    settled = await asyncio.gather(*(store.settle(ending(run_id)) for run_id in backwards))
    assert {*map(settled_as, settled)} == {COMPLETED}


async def test_a_family_that_goes_on_is_locked_in_the_order_in_which_batches_lock(
    store: PostgresStore, gate: Gate
) -> None:
    for run_id, parent in (("b", None), ("a", "b")):
        await store.submit(new_run(run_id, lease=60.0, executor="here", parent_run_id=parent))
        await store.settle(replace(ending(run_id, status=PAUSED), requirements="[]"))
    async with gate.holding("a"):
        resuming = await gate.begin(store.resume("a", PAUSED, 1, []))
        free = f"SELECT FROM {store.names.runs} WHERE run_id = 'b' FOR UPDATE NOWAIT"
        assert await gate.connection.fetch(free), "nothing is held by who waits for what is before"
    assert await resuming is not None
    record = await store.get("b")
    assert record is not None
    assert record.status is PENDING


# --- a pause, and who cancels meanwhile


async def test_a_child_that_is_cancelled_while_it_pauses_wakes_its_parent(
    store: PostgresStore, gate: Gate
) -> None:
    for run_id, parent in (("parent", None), ("child", "parent")):
        await store.submit(new_run(run_id, parent_run_id=parent, lease=60, executor="first"))
    pausing = replace(ending("parent", status=PAUSED), requirements="[]")
    assert settled_as(await store.settle(pausing)) is PAUSED
    async with gate.holding("child"):
        settling = await gate.begin(store.settle(replace(pausing, run_id="child")))
        cancelling = await gate.begin(store.cancel("child"))
    assert settled_as(await settling) is PAUSED
    assert await cancelling
    waiting = await store.get("parent")
    assert waiting is not None
    assert waiting.status is PENDING
