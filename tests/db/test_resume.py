"""The contract of the port: how runs go on that stand still, with those that wait for them."""

import asyncio
import time
from typing import Any

import pytest
from msgspec.structs import replace
from stores import CLAIM, LEASE, ending, new_run, settled_as, status_of

from kern.db.base import Store
from kern.db.values import Claim, Resume
from kern.errors import NewerJournalError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord

PENDING, RUNNING, PAUSED = RunStatus.pending, RunStatus.running, RunStatus.paused
COMPLETED, CANCELLED, ERROR = RunStatus.completed, RunStatus.cancelled, RunStatus.error

HERE = Resume("here", LEASE)


async def stand(
    store: Store,
    run_id: str = "run",
    status: RunStatus = PAUSED,
    expires_at: float | None = None,
    **options: Any,
) -> None:
    """Bring a run into a status in its first attempt."""
    await store.submit(new_run(run_id, lease=LEASE, executor="first", **options))
    end = replace(ending(run_id, status=status), requirements="[]", expires_at=expires_at)
    assert settled_as(await store.settle(end)) is status


async def offered(store: Store) -> list[str]:
    """Return the runs that are due, in their order, and acknowledge them."""
    entries = await store.queue.dequeue(["agent"], 10)
    for entry in entries:
        await store.queue.acknowledge(entry)
    return sorted(entry.run_id for entry in entries)


async def found(store: Store, run_id: str = "run") -> RunRecord:
    record = await store.get(run_id)
    assert record is not None
    return record


def row(seq: int) -> JournalRow:
    return JournalRow("run", seq, seq, "A", False, "{}")


# --- where an executor asks for it


@pytest.mark.parametrize("status", [PAUSED, ERROR])
async def test_a_run_goes_on_at_once_at_the_executor_that_asks_for_it(
    store: Store, status: RunStatus
) -> None:
    await stand(store, status=status, timeout=60.0)
    run = await store.resume("run", status, 1, [row(1), row(2)], HERE._replace(foreground=True))
    assert run is not None
    assert (run.status, run.attempt, run.executor, run.foreground) == (RUNNING, 2, "here", True)
    assert (run.input, run.last_seq, run.requirements) == ('"Hi"', 2, None)
    assert run.remaining == pytest.approx(60.0, abs=5.0)
    assert await store.held("run", "here") == run or await store.held("run", "here") is not None
    assert await store.extend([("run", 2)], LEASE) == {"run": False}
    assert await offered(store) == []
    assert await store.settle(ending(attempt=1)) is None, "the first attempt is stale"
    assert settled_as(await store.settle(ending(attempt=2))) is COMPLETED


async def test_a_run_whose_executor_is_gone_goes_on_elsewhere(store: Store) -> None:
    await store.submit(new_run(lease=LEASE, executor="first"))
    assert await store.resume("run", RUNNING, 0, [], HERE) is None
    run = await store.resume("run", RUNNING, 1, [], HERE)
    assert run is not None
    assert (run.status, run.attempt, run.executor) == (RUNNING, 2, "here")
    assert await store.append("run", 1, [row(1)], False) is None


async def test_a_run_goes_on_at_no_executor_that_does_not_know_its_journal(store: Store) -> None:
    await stand(store, journal_version=9)
    with pytest.raises(NewerJournalError, match="Upgrade"):
        await store.resume("run", PAUSED, 1, [row(1)], HERE._replace(journal_version=8))
    assert await status_of(store, "run") is PAUSED
    assert await store.events("run", 0) == []
    run = await store.resume("run", PAUSED, 1, [row(1)], HERE._replace(journal_version=9))
    assert run is not None
    assert run.status is RUNNING


async def test_a_run_that_has_to_wait_for_the_session_lock_is_pending(store: Store) -> None:
    await stand(store, status=ERROR, ordered=True)
    await store.submit(new_run("other", ordered=True, lease=LEASE, executor="first"))
    run = await store.resume("run", ERROR, 1, [], HERE)
    assert run is not None
    assert (run.status, run.attempt) == (PENDING, 1)
    await offered(store)
    assert await store.claim("run", CLAIM) is None
    assert settled_as(await store.settle(ending("other"))) is COMPLETED
    assert await offered(store) == ["run"]


async def test_a_paused_run_has_kept_the_session_lock(store: Store) -> None:
    await stand(store, ordered=True)
    await store.submit(new_run("other", ordered=True))
    run = await store.resume("run", PAUSED, 1, [], HERE)
    assert run is not None
    assert run.status is RUNNING
    assert await offered(store) == []


async def test_of_many_who_ask_at_once_one_has_it(store: Store) -> None:
    await stand(store)
    runs = await asyncio.gather(
        *(store.resume("run", PAUSED, 1, [], Resume(str(number), LEASE)) for number in range(10))
    )
    [run] = [each for each in runs if each is not None]
    assert (await found(store)).executor == run.executor


async def test_metadata_takes_the_place_of_what_there_was(store: Store) -> None:
    await stand(store, metadata='{"a":1}')
    await store.resume("run", PAUSED, 1, [], Resume(metadata='{"a":2}'))
    assert (await found(store)).metadata == '{"a":2}'


# --- those that wait for it


async def family(store: Store, *, foreground: bool = False) -> None:
    """Have a run pause that waits for a child, which waits for a child of its own."""
    await stand(store, "parent", foreground=foreground)
    await stand(store, "child", parent_run_id="parent")
    await stand(store, "grandchild", parent_run_id="child")


async def test_the_ancestors_of_a_run_go_on_with_it(store: Store) -> None:
    await family(store)
    assert await store.resume("grandchild", PAUSED, 1, [])
    assert await offered(store) == ["child", "grandchild", "parent"]
    for run_id in ("parent", "child", "grandchild"):
        assert (await found(store, run_id)).requirements is None


async def test_an_ancestor_of_a_caller_waits_for_that_one(store: Store) -> None:
    await family(store, foreground=True)
    assert await store.resume("grandchild", PAUSED, 1, [], HERE)
    assert await offered(store) == ["child"]
    assert await status_of(store, "parent") is PAUSED


async def test_a_child_that_does_not_go_on_wakes_nobody(store: Store) -> None:
    await family(store)
    assert await store.resume("grandchild", PAUSED, 7, []) is None
    assert await offered(store) == []


async def test_the_end_of_a_child_wakes_the_parent_that_waits_for_it(store: Store) -> None:
    await family(store)
    await stand(store, "other", parent_run_id="parent", session_id="another")
    await store.wake_parent("other")
    await store.wake_parent("parent")
    assert await offered(store) == []
    await store.wake_parent("child")
    assert await offered(store) == ["parent"]


async def test_the_end_of_a_grandchild_wakes_all_that_wait_for_it(store: Store) -> None:
    await family(store)
    await store.wake_parent("grandchild")
    assert await offered(store) == ["child", "parent"]


async def test_the_ancestors_of_a_run_that_is_cancelled_do_not_wait_for_it(store: Store) -> None:
    await family(store)
    assert await store.cancel("grandchild")
    assert await offered(store) == ["child", "parent"]
    assert await status_of(store, "grandchild") is CANCELLED
    assert (await found(store, "parent")).requirements is None


async def test_a_cancel_leaves_those_alone_who_wait_for_nobody(store: Store) -> None:
    await family(store, foreground=True)
    await store.submit(new_run("executing", parent_run_id="child", lease=LEASE, executor="first"))
    await store.submit(new_run("queued", parent_run_id="child"))
    await offered(store)
    assert await store.cancel("executing")
    assert await store.cancel("queued")
    assert await offered(store) == []
    assert await store.cancel("child")
    assert await offered(store) == []
    assert await status_of(store, "parent") is PAUSED


async def test_families_that_are_answered_at_every_end_at_once_do_not_deadlock(
    store: Store,
) -> None:
    await family(store)
    await asyncio.gather(
        *(
            store.resume(run_id, PAUSED, 1, [])
            for _ in range(5)
            for run_id in ("parent", "grandchild", "child")
        ),
        *(store.cancel(run_id) for run_id in ("child", "parent")),
    )
    assert {await status_of(store, each) for each in ("parent", "child")} <= {PENDING, CANCELLED}


# --- expiry


async def test_a_pause_that_has_expired_is_due_again_and_no_other(store: Store) -> None:
    now = time.time()
    await stand(store, "early", expires_at=now - 2)
    await stand(store, "earlier", expires_at=now - 3)
    await stand(store, "late", expires_at=now + 60)
    await stand(store, "never")
    await stand(store, "a caller's", expires_at=now - 2, foreground=True)
    await stand(store, "cancelled", expires_at=now - 2)
    await store.cancel("cancelled")
    await store.submit(new_run("ended", lease=LEASE, executor="first"))
    await store.settle(replace(ending("ended"), expires_at=now - 2))
    assert await store.expired_pauses(1) == ["earlier"]
    assert await store.expired_pauses(10) == ["early"]
    assert await store.expired_pauses(10) == []
    assert await offered(store) == ["earlier", "early"]
    claimed = await store.claim("early", Claim("here", LEASE))
    assert claimed is not None
    assert (claimed.status, claimed.attempt) == (RUNNING, 2)


async def test_a_run_that_has_gone_on_does_not_expire(store: Store) -> None:
    await stand(store, expires_at=time.time() - 2)
    await store.resume("run", PAUSED, 1, [], HERE)
    assert await store.expired_pauses(10) == []
    assert settled_as(await store.settle(ending(attempt=2, status=PAUSED))) is PAUSED
    assert await store.expired_pauses(10) == []
