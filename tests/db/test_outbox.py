"""The contract of the port: which webhooks are to be sent, and when."""

from datetime import UTC, datetime

from stores import EXPIRED, LEASE, ending, new_run

from kern.db.base import Store
from kern.run.base import RunStatus

PAUSED, ERROR = RunStatus.paused, RunStatus.error


async def test_every_end_and_pause_of_a_run_with_a_webhook_is_put_into_the_outbox_once(
    store: Store,
) -> None:
    for run_id in ("a", "b", "c", "running"):
        await store.submit(new_run(run_id, webhook="https://x.test", lease=LEASE))
    await store.submit(new_run("silent", lease=LEASE))
    await store.submit(new_run("cancelled", webhook="https://x.test", cancelled=True))
    for run_id, status in (("a", PAUSED), ("b", ERROR), ("c", ERROR), ("silent", ERROR)):
        await store.settle(ending(run_id, status=status))
    found = await store.outbox.take(9, LEASE)
    assert {each.delivery_id for each in found} == {"cancelled/0", "a/1", "b/1", "c/1"}
    assert {(each.run_id, each.attempt, each.tries) for each in found} == {
        *(("cancelled", 0, 0), ("a", 1, 0), ("b", 1, 0), ("c", 1, 0))
    }
    assert await store.outbox.take(9, LEASE) == []

    assert await store.resume("b", ERROR, 1, [])
    assert await store.cancel("b")
    await store.extend([("running", 1)], EXPIRED)
    assert await store.cancel("running")
    again = {each.delivery_id for each in await store.outbox.take(9, LEASE)}
    assert again == {"b/2", "running/2"}


async def test_a_webhook_is_tried_until_it_is_delivered_or_given_up(store: Store) -> None:
    for run_id in ("a", "b"):
        await store.submit(new_run(run_id, webhook="https://x.test", lease=LEASE))
        await store.settle(ending(run_id))
    assert await store.outbox.next_at() is not None
    [first] = await store.outbox.take(1, LEASE)
    [second] = await store.outbox.take(1, LEASE)
    assert (first.run_id, second.run_id) == ("a", "b")
    await store.outbox.failed(first, "It is away.", 0.0)
    [again] = await store.outbox.take(9, LEASE)
    assert (again.run_id, again.tries) == ("a", 1)
    next_at = await store.outbox.next_at()
    assert next_at is not None
    assert next_at > datetime.now(UTC)
    await store.outbox.failed(first, "The answer came late.", 0.0)
    assert await store.outbox.take(9, LEASE) == []

    await store.outbox.delivered(again)
    await store.outbox.failed(second, "It is gone.", None)
    assert await store.outbox.next_at() is None
    await store.outbox.failed(again, "The answer came late.", 0.0)
    await store.outbox.delivered(second)
    assert await store.outbox.take(9, LEASE) == []


async def test_a_webhook_whose_sender_was_lost_is_taken_by_another(store: Store) -> None:
    await store.submit(new_run(webhook="https://x.test", lease=LEASE))
    await store.settle(ending())
    assert await store.outbox.take(9, -1.0) == await store.outbox.take(9, LEASE)
