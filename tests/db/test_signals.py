"""The contract of the port: what a store is notified of that others do with the database."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from stores import CLAIM, EXPIRED, LEASE, OPEN, Recorder, Spawn, address, ending, new_run, sweep

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.values import Kind, Signal
from kern.run.base import RunStatus

Act = Callable[[Store], Awaitable[object]]

CANCEL, END, RESYNC = Signal(Kind.cancel, "run"), Signal(Kind.changed, "run"), Signal(Kind.resync)


TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def listen(db: Database) -> Recorder:
    recorder = Recorder()
    await (await db.store()).listen(recorder)
    return recorder


async def elsewhere(db: Database, act: Act) -> None:
    """Do something with the database in another event loop, in another thread."""

    async def do() -> None:
        await act(await db.store())

    await asyncio.to_thread(lambda: asyncio.run(do()))


async def running(db: Database, *, cancelled: bool = False, lease: float = LEASE) -> Store:
    """Return a store in which somebody waits for a run that an executor has."""
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    await store.watch("run")
    if cancelled:
        await store.cancel("run")
    await store.extend([("run", 1)], lease)
    return store


async def test_the_cancel_of_a_running_run_is_notified(db: Database) -> None:
    await running(db)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(CANCEL)


async def test_the_end_of_a_run_is_notified(db: Database) -> None:
    await running(db)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.settle(ending()))
    await recorder.gets(END)


async def test_the_end_of_a_pending_run_by_its_cancel_is_notified(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run())
    await store.watch("run")
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(END)


async def test_the_end_of_a_run_without_an_executor_by_its_cancel_is_notified(db: Database) -> None:
    await running(db, lease=EXPIRED)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.cancel("run"))
    await recorder.gets(END)


async def test_the_end_of_a_cancelled_run_by_its_release_is_notified(db: Database) -> None:
    await running(db, cancelled=True)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.release("run", 1))
    await recorder.gets(END)


async def test_the_end_of_a_cancelled_run_by_a_sweep_is_notified(db: Database) -> None:
    await running(db, cancelled=True, lease=EXPIRED)
    recorder = await listen(db)
    await elsewhere(db, sweep)
    await recorder.gets(END)


async def test_a_store_is_notified_of_what_it_does_itself(db: Database) -> None:
    store = await running(db)
    recorder = await listen(db)
    await store.cancel("run")
    await recorder.gets(CANCEL)
    await store.settle(ending())
    await recorder.gets(END)


async def test_what_is_not_an_end_is_not_notified_as_one(db: Database) -> None:
    store = await running(db)
    recorder = await listen(db)
    await store.release("run", 1)
    await store.claim("run", CLAIM)
    await store.settle(ending(attempt=1))
    await store.cancel("unknown")
    await store.cancel("run")
    assert await recorder.gets(CANCEL) == [CANCEL]


async def test_the_end_of_the_child_of_a_cancelled_parent_by_its_claim_is_notified(
    db: Database,
) -> None:
    store = await db.store()
    await store.submit(new_run("parent"))
    await store.submit(new_run(parent_run_id="parent"))
    await store.watch("run")
    await store.cancel("parent")
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.claim("run", CLAIM))
    await recorder.gets(END)


async def test_the_end_of_a_run_that_all_refuse_is_notified(db: Database) -> None:
    await running(db)
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.refuse("run", 1, "No key.", 0.0, timedelta()))
    await recorder.gets(END)


async def test_a_webhook_to_send_is_notified(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run(lease=LEASE, webhook="https://x.test"))
    recorder = await listen(db)
    await elsewhere(db, lambda store: store.settle(ending()))
    await recorder.gets(Signal(Kind.webhook))


async def test_an_end_is_notified_though_who_wrote_it_was_interrupted(db: Database) -> None:
    """The write goes on where nobody waits for it any more, and so do its notifications."""
    store = await running(db)
    recorder = await listen(db)
    async with asyncio.timeout(20):
        while not (found := await store.get("run")) or not found.status.is_terminal:
            settling = asyncio.create_task(store.settle(ending()))
            await asyncio.sleep(0)
            settling.cancel()
            await asyncio.wait([settling])
    await recorder.gets(END)


# --- what is due


async def due(db: Database) -> asyncio.Event:
    """Return what is set whenever the queue says that runs may have become due."""
    noticed = asyncio.Event()
    await (await db.store()).queue.listen(noticed.set)
    return noticed


ACTS: dict[str, tuple[Act, Act]] = {
    "submit": (lambda store: store.ping(), lambda store: store.submit(new_run("new"))),
    "delayed submit": (
        lambda store: store.ping(),
        lambda store: store.submit(new_run("new", run_at=TOMORROW)),
    ),
    "fork": (lambda store: store.ping(), lambda store: store.fork(new_run("new"), "run", 0)),
    "release": (lambda store: store.ping(), lambda store: store.release("run", 1)),
    "postpone": (lambda store: store.ping(), lambda store: store.postpone("run", 1, 60, [])),
    "refuse": (
        lambda store: store.ping(),
        lambda store: store.refuse("run", 1, "No key.", 60, timedelta(days=1)),
    ),
    "hand off": (
        lambda store: store.submit(new_run("next", ordered=True)),
        lambda store: store.settle(ending()),
    ),
    "resume": (
        lambda store: store.settle(ending(status=RunStatus.paused)),
        lambda store: store.resume("run", RunStatus.paused, 1, []),
    ),
    "sweep": (lambda store: store.extend([("run", 1)], EXPIRED), sweep),
}


@pytest.mark.parametrize("how", ACTS)
async def test_what_makes_a_run_due_is_noticed_by_every_event_loop(db: Database, how: str) -> None:
    before, act = ACTS[how]
    store = await db.store()
    await store.submit(new_run(lease=LEASE, ordered=True))
    await before(store)
    here = await due(db)
    # What happened before it listened may be noticed as well.
    with suppress(TimeoutError):
        await asyncio.wait_for(here.wait(), 0.2)
    here.clear()
    await elsewhere(db, act)
    await asyncio.wait_for(here.wait(), 20)


async def test_an_end_that_nobody_waits_for_costs_no_notification(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    recorder = await listen(postgres_db)
    await store.submit(new_run("unwatched", lease=LEASE))
    await store.settle(ending("unwatched"))
    await running(postgres_db)
    await store.settle(ending())
    assert await recorder.gets(END) == [END]


async def test_every_end_in_a_batch_is_notified(db: Database) -> None:
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


async def test_two_event_loops_are_notified_of_the_same(db: Database) -> None:
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


async def test_a_run_id_is_notified_as_it_is(db: Database) -> None:
    run_id = "end of 'é' 🦊 " + "é" * 240
    store = await db.store()
    await store.submit(new_run(run_id, lease=LEASE))
    await store.watch(run_id)
    recorder = await listen(db)
    await store.settle(ending(run_id))
    await recorder.gets(Signal(Kind.changed, run_id))


@pytest.mark.parametrize(("act", "signal"), [("cancel('run')", CANCEL), ("settle(end)", END)])
async def test_another_process_is_notified(
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
    signalled = (await recorder.gets(signal, RESYNC))[-1]
    while signalled == RESYNC:
        found = await store.get("run")
        assert found is not None
        if await store.wanted(["run"]) or found.status.is_terminal:
            break
        # Its tables, not yet its act.
        signalled = (await recorder.gets(signal, RESYNC))[-1]
    assert await asyncio.to_thread(process.wait, 20) == 0
    found = await store.get("run")
    assert found is not None
    assert (await store.wanted(["run"]) == [("run", True, False)]) is (signal == CANCEL)
    assert found.status.is_terminal is (signal == END)
