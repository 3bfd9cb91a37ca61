"""Every end of a run that has a webhook is in the outbox, until it is delivered or given up."""

from typing import Any

import pytest
from stores import LEASE, Recorder, ending, new_run

from kern.db.base import Claim, Kind, Signal, Store
from kern.db.outbox import Delivery
from kern.run.base import RunStatus

URL = "https://example.com/hooks"
CLAIM = Claim("executor", LEASE)


async def end(
    store: Store,
    run_id: str = "run",
    status: RunStatus = RunStatus.completed,
    **changes: Any,
) -> None:
    """Have a run with a webhook end in its first attempt."""
    run = new_run(run_id, webhook=URL, lease=LEASE, executor="executor", **changes)
    await store.submit(run)
    await store.settle(ending(run_id, 1, status))


async def take(store: Store, lease: float = LEASE) -> list[Delivery]:
    return await store.outbox.take(10, lease)


@pytest.mark.parametrize(
    "status",
    [RunStatus.completed, RunStatus.error, RunStatus.cancelled],
    ids=lambda each: each.name,
)
async def test_an_end_is_to_be_delivered(store: Store, status: RunStatus) -> None:
    assert await store.outbox.next_at() is None
    await end(store, status=status)
    assert await store.outbox.next_at() is not None
    assert await take(store) == [Delivery("run/1", "run", 1, 0)]


async def test_nothing_else_is(store: Store) -> None:
    await store.submit(new_run("running", webhook=URL, lease=LEASE, executor="executor"))
    await store.submit(new_run("paused", webhook=URL, lease=LEASE, executor="executor"))
    await store.settle(ending("paused", 1, RunStatus.paused))
    await store.submit(new_run("silent", lease=LEASE, executor="executor"))
    await store.settle(ending("silent"))
    await store.settle(ending("running", 2))
    assert await store.outbox.next_at() is None
    assert await take(store) == []


async def test_a_cancel_is_to_be_delivered_wherever_the_run_stands(store: Store) -> None:
    await store.cancel("pending-cancel")
    await store.submit(new_run("pending-cancel", session_id="a", webhook=URL))
    await store.submit(new_run("pending", session_id="b", webhook=URL))
    await store.cancel("pending")
    run = new_run("running", session_id="c", webhook=URL, lease=LEASE, executor="executor")
    await store.submit(run)
    await store.cancel("running")
    await store.release("running", 1)
    found = {delivery.run_id: delivery.delivery_id for delivery in await take(store)}
    assert found.keys() == {"pending-cancel", "pending", "running"}
    for run_id, delivery_id in found.items():
        record = await store.get(run_id)
        assert record is not None
        assert delivery_id == f"{run_id}/{record.attempt}"


async def test_each_end_of_a_run_is_a_delivery_of_its_own(store: Store) -> None:
    await end(store, status=RunStatus.error)
    assert await store.resume("run", RunStatus.error, [])
    await store.claim("run", CLAIM)
    await store.settle(ending("run", 2, RunStatus.error))
    assert await store.resume("run", RunStatus.error, [])
    await store.cancel("run")  # No attempt has followed.
    assert [each.delivery_id for each in await take(store)] == ["run/1", "run/2", "run/3"]


async def test_what_is_taken_is_due_again_after_its_lease(store: Store) -> None:
    await end(store, "first", session_id="one")
    await end(store, "second", session_id="two")
    [first] = await store.outbox.take(1, LEASE)
    [second] = await take(store, 0.0)
    assert (first.run_id, second.run_id) == ("first", "second")
    assert await take(store) == [second]
    assert await take(store) == []
    assert await store.outbox.next_at() is not None


async def test_a_failed_try_is_counted_and_due_after_its_delay(store: Store) -> None:
    await end(store)
    [delivery] = await take(store)
    await store.outbox.failed(delivery, "It answered 500.", 0.0)
    [again] = await take(store)
    assert again == delivery._replace(tries=1)
    await store.outbox.failed(again, "It answered 500.", 3600.0)
    assert await take(store) == []
    now, next_at = await store.schedules.now(), await store.outbox.next_at()
    assert next_at is not None
    assert 3500 < (next_at - now).total_seconds() <= 3600


@pytest.mark.parametrize("outcome", ["delivered", "given up"])
async def test_the_outcome_is_final(store: Store, outcome: str) -> None:
    await end(store)
    [delivery] = await take(store, 0.0)
    assert await take(store, 0.0) == [delivery]  # By another process, after its lease.
    if outcome == "delivered":
        await store.outbox.delivered(delivery)
    else:
        await store.outbox.failed(delivery, "It answered 410.", None)
    await store.outbox.failed(delivery, "It is late.", 0.0)
    assert await store.outbox.next_at() is None
    assert await take(store) == []


async def test_a_try_that_another_has_followed_does_not_count(store: Store) -> None:
    await end(store)
    [slow] = await take(store, 0.0)
    [quick] = await take(store, 0.0)
    await store.outbox.failed(quick, "It answered 500.", 0.0)
    await store.outbox.failed(slow, "It did not answer.", None)
    assert await take(store) == [quick._replace(tries=1)]


async def test_what_is_to_be_delivered_is_notified(store: Store) -> None:
    recorder = Recorder()
    await store.listen(recorder)
    await end(store)
    await recorder.gets(Signal(Kind.webhook))
