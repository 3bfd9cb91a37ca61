"""The contract of the port: what a store hears of what others do with the database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from stores import EXPIRED, LEASE, OPEN, Recorder, Spawn, address, ending, new_run

from kern.db.base import Database, Kind, Signal, Store
from kern.db.postgres import PostgresDb

Act = Callable[[Store], Awaitable[object]]

CANCEL, END, AGAIN = Signal(Kind.cancel, "run"), Signal(Kind.changed, "run"), Signal(Kind.resync)


async def listen(db: Database) -> Recorder:
    recorder = Recorder()
    await (await db.store()).listen(recorder)
    return recorder


async def elsewhere(db: Database, act: Act) -> None:
    """Do something with the database in another event loop, in another thread."""

    async def do() -> None:
        await act(await db.store())

    await asyncio.to_thread(lambda: asyncio.run(do()))


async def running(db: Database, *, asked: bool = False, lease: float = LEASE) -> Store:
    """Return a store in which somebody waits for a run that an executor has."""
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    await store.watch("run")
    if asked:
        await store.cancel("run")
    await store.extend([("run", 1)], lease)
    return store


async def test_the_cancel_of_a_running_run_is_heard(db: Database) -> None:
    await running(db)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(CANCEL)


async def test_the_end_of_a_run_is_heard(db: Database) -> None:
    await running(db)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.settle(ending()))
    await recorder.gets(END)


async def test_the_end_of_a_pending_run_by_its_cancel_is_heard(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run())
    await store.watch("run")
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(END)


async def test_the_end_of_a_run_without_an_executor_by_its_cancel_is_heard(db: Database) -> None:
    await running(db, lease=EXPIRED)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(END)


async def test_the_end_of_a_cancelled_run_by_its_release_is_heard(db: Database) -> None:
    await running(db, asked=True)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.release("run", 1))
    await recorder.gets(END)


async def test_the_end_of_a_cancelled_run_by_the_next_claim_is_heard(db: Database) -> None:
    await running(db, asked=True, lease=EXPIRED)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.claim("run", CLAIM))
    await recorder.gets(END)


async def test_a_store_hears_what_it_does_itself(db: Database) -> None:
    store = await running(db)
    recorder = await listen(db)
    await store.cancel("run")
    await recorder.gets(CANCEL)
    await store.settle(ending())
    await recorder.gets(END)


async def test_what_is_not_an_end_is_not_heard_as_one(db: Database) -> None:
    store = await running(db)
    recorder = await listen(db)
    await store.release("run", 1)
    await store.claim("run", CLAIM)
    await store.settle(ending(attempt=1))
    await store.cancel("unknown")
    await store.cancel("run")
    assert await recorder.gets(CANCEL) == [CANCEL]


async def test_an_end_that_nobody_waits_for_costs_no_notification(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    recorder = await listen(postgres_db)
    await store.submit(new_run("unwatched", lease=LEASE))
    await store.settle(ending("unwatched"))
    await running(postgres_db)
    await store.settle(ending())
    assert await recorder.gets(END) == [END]


async def test_every_end_in_a_batch_is_heard(db: Database) -> None:
    store = await db.store()
    run_ids = [f"run-{number}" for number in range(30)]
    for run_id in run_ids:
        await store.submit(new_run(run_id, lease=LEASE))
        await store.watch(run_id)
    recorder = await listen(db)
    await asyncio.gather(*(store.settle(ending(run_id)) for run_id in run_ids))
    unheard = {Signal(Kind.changed, run_id) for run_id in run_ids}
    while unheard:
        unheard.difference_update(await recorder.gets(*unheard))


async def test_two_event_loops_hear_the_same(db: Database) -> None:
    await running(db)
    here, ready = await listen(db), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def there() -> None:
        recorder = await listen(db)
        loop.call_soon_threadsafe(ready.set)
        await recorder.gets(END)

    hearing = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(there())))
    await ready.wait()
    await (await db.store()).settle(ending())
    await here.gets(END)
    await hearing


async def test_a_run_id_is_heard_as_it_is(db: Database) -> None:
    run_id = "end of 'é' 🦊 " + "é" * 240
    store = await db.store()
    await store.submit(new_run(run_id, lease=LEASE))
    await store.watch(run_id)
    recorder = await listen(db)
    await store.settle(ending(run_id))
    await recorder.gets(Signal(Kind.changed, run_id))


@pytest.mark.parametrize(("act", "signal"), [("cancel('run')", CANCEL), ("settle(end)", END)])
async def test_another_process_is_heard(
    shared_db: Database, spawn: Spawn, act: str, signal: Signal
) -> None:
    """Exactly, or at least so that the listener looks for itself."""
    store = await running(shared_db)
    recorder = await listen(shared_db)
    script = f"""{OPEN}
async def main():
    end = Settlement("run", 1, RunStatus.completed, "{{}}", None, "{{}}")
    await (await db.store()).{act}

asyncio.run(main())
"""
    process = spawn(script, *address(shared_db))
    heard = (await recorder.gets(signal, AGAIN))[-1]
    while heard == AGAIN:
        found = await store.get("run")
        assert found is not None
        if await store.wanted(["run"]) or found.status.is_terminal:
            break
        # Its tables, not yet its act.
        heard = (await recorder.gets(signal, AGAIN))[-1]
    assert await asyncio.to_thread(process.wait, 20) == 0
    found = await store.get("run")
    assert found is not None
    assert (await store.wanted(["run"]) == [("run", True, False)]) is (signal == CANCEL)
    assert found.status.is_terminal is (signal == END)
