"""The contract of the port: which runs the queue offers, in which order, and when."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from deliveries import Deliveries
from stores import CLAIM, LEASE, new_run

from kern.db.base import Store
from kern.run.base import RunStatus

TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def test_the_queue_knows_when_the_next_run_is_due(store: Store) -> None:
    assert await store.queue.next_due(["agent"]) is None
    soon = datetime.now(UTC) + timedelta(seconds=100)
    await store.submit(new_run("tomorrow", run_at=TOMORROW))
    await store.submit(new_run("soon", run_at=soon))
    await store.submit(new_run("other", agent_id="other", run_at=datetime.now(UTC)))
    due_in = await store.queue.next_due(["agent", "unknown"])
    assert due_in is not None
    assert 50 < due_in <= 101
    assert await store.queue.next_due(["unknown"]) is None


async def test_children_come_first_then_priority_then_age(store: Store) -> None:
    await store.submit(new_run("parent", lease=LEASE))
    changed: dict[str, dict[str, object]] = {
        "root": {},
        "urgent root": {"priority": 9},
        "child": {"parent_run_id": "parent"},
        "other child": {"parent_run_id": "parent", "agent_id": "other"},
        "urgent child": {"parent_run_id": "parent", "priority": 1},
        "last": {},
    }
    for run_id, changes in changed.items():
        await store.submit(new_run(run_id, **changes))
    worker = Deliveries(store)
    children = ["urgent child", "child", "other child"]
    assert await worker.offered(children_only=True) == children
    assert await worker.offered() == [*children, "urgent root", "root", "last"]


async def test_only_runs_that_are_due_of_served_agents_are_offered(store: Store) -> None:
    await store.submit(new_run("running", lease=LEASE))
    await store.submit(new_run("delayed", run_at=TOMORROW))
    await store.submit(new_run("cancelled", cancelled=True))
    await store.submit(new_run("unserved", agent_id="unserved"))
    for run_id in ("due", "waits"):
        await store.submit(new_run(run_id, ordered=True))
    worker = Deliveries(store)
    assert await worker.offered() == ["due"]
    [entry] = await store.queue.dequeue(["agent"], 1)
    assert (entry.run_id, entry.agent_id) == ("due", "agent")
    await store.queue.put_back(entry, 60)
    assert await worker.offered() == []


async def test_an_entry_that_was_put_back_is_offered_again_once_it_is_due(store: Store) -> None:
    await store.submit(new_run())
    [entry] = await store.queue.dequeue(["agent"], 9)
    began = time.time()
    await store.queue.put_back(entry, 0.3)
    async with asyncio.timeout(20):
        while not (entries := await store.queue.dequeue(["agent"], 9)):
            due_in = await store.queue.next_due(["agent"])
            assert due_in is not None
            await asyncio.sleep(due_in)
    assert time.time() - began > 0.29
    [again] = entries
    assert again.run_id == "run"
    assert await store.claim("run", CLAIM) is not None
    await store.queue.acknowledge(again)
    assert await store.queue.next_due(["agent"]) is None


async def test_an_entry_that_is_put_back_after_its_run_was_claimed_begins_nothing(
    store: Store,
) -> None:
    await store.submit(new_run())
    [entry] = await store.queue.dequeue(["agent"], 9)
    assert await store.claim("run", CLAIM) is not None
    await store.queue.put_back(entry, 0.0)
    assert await Deliveries(store).deliver() is None
    found = await store.get("run")
    assert found is not None
    assert found.attempt == 1


async def test_an_entry_that_is_put_back_after_its_run_was_postponed_brings_no_attempt_forward(
    store: Store,
) -> None:
    await store.submit(new_run())
    [entry] = await store.queue.dequeue(["agent"], 9)
    assert await store.claim("run", CLAIM) is not None
    assert await store.postpone("run", 1, 3600, []) is RunStatus.pending
    await store.queue.put_back(entry, 0.0)
    assert await Deliveries(store).deliver() is None
