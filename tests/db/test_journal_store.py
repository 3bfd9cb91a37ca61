"""The contract of the port: what every database does with the journals of runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import pytest
from deliveries import Deliveries
from msgspec.structs import replace
from stores import (
    CLAIM,
    EXPIRED,
    LEASE,
    LOST,
    Recorder,
    ending,
    execute,
    new_run,
    same,
    settled_as,
    status_of,
    sweep,
)

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.values import Appended, Kind, Signal
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord, Settlement

PENDING, RUNNING, PAUSED = RunStatus.pending, RunStatus.running, RunStatus.paused
COMPLETED, ERROR, CANCELLED = RunStatus.completed, RunStatus.error, RunStatus.cancelled

PIECE, WHOLE, DONE = "TextSlice", "ModelAnswered", "ToolEnded"

CHANGED, READ = Signal(Kind.changed, "run"), Signal(Kind.read, "run")


def rows(
    first: int, *types: str, run_id: str = "run", payload: str = '{"v":1}'
) -> tuple[JournalRow, ...]:
    """Return rows of the given kinds, numbered from ``first`` on, each of two events."""
    return tuple(
        JournalRow(run_id, seq, 2 * seq, type, type == PIECE, payload)
        for seq, type in enumerate(types, first)
    )


def settling(journal: Sequence[JournalRow] = (), fold_before: int = 0, **end: object) -> Settlement:
    """Return the end of an attempt, with the last rows of its journal."""
    settlement = ending(**end)  # type: ignore[arg-type]
    return replace(settlement, journal=tuple(journal), fold_before=fold_before)


async def journal(store: Store, run_id: str = "run", after: int = 0) -> list[tuple[int, str]]:
    return [(row.seq, row.type) for row in await store.events(run_id, after)]


async def stand_still(store: Store, status: RunStatus, run_id: str = "run") -> None:
    """Bring a run that a worker had into a status, with two rows in its journal."""
    await store.submit(new_run(run_id))
    for entry in await store.queue.dequeue(["agent"], 9):
        await store.claim(entry.run_id, CLAIM)
        await store.queue.acknowledge(entry)
    last = rows(1, WHOLE, DONE, run_id=run_id)
    end = settling(last, run_id=run_id, status=status, error='"no"')
    assert settled_as(await store.settle(end)) is status


async def elsewhere(db: Database, act: Callable[[Store], Awaitable[object]]) -> None:
    """Do something with the database in another event loop, in another thread."""

    async def do() -> None:
        await act(await db.store())

    await asyncio.to_thread(lambda: asyncio.run(do()))


# --- append, events


async def test_what_is_appended_is_read_as_it_was_in_order(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    first, second = rows(1, WHOLE), rows(2, DONE, PIECE, payload='{"b": 1, "a":2}')
    assert await store.append("run", 1, second, False)
    assert await store.append("run", 1, first, True)
    found = await store.events("run", 0)
    assert [replace(row, created_at=0.0) for row in found] == [*first, *second]
    assert all(row.created_at > 0 for row in found)


async def test_events_are_those_after_a_number(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.submit(new_run("other", lease=LEASE))
    await store.append("run", 1, rows(1, WHOLE, DONE, WHOLE), False)
    await store.append("other", 1, rows(1, PIECE, PIECE, PIECE, run_id="other"), False)
    assert await journal(store, after=1) == [(2, DONE), (3, WHOLE)]
    assert await journal(store, after=3) == []
    assert await journal(store, "unknown") == []


async def test_the_same_rows_again_change_nothing(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.append("run", 1, rows(1, WHOLE, DONE), False)
    before = await store.events("run", 0)
    assert await store.append("run", 1, rows(1, WHOLE, DONE, WHOLE, payload='"other"'), False)
    found = await store.events("run", 0)
    assert found[:2] == before
    assert [row.seq for row in found] == [1, 2, 3]


async def test_an_append_of_nothing_tells_whether_the_attempt_is_the_newest(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    assert await store.append("run", 1, [], False)
    assert not await store.append("run", 2, [], False)


@pytest.mark.parametrize("attempt", [0, 1, 3])
async def test_only_the_newest_attempt_appends(store: Store, attempt: int) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await sweep(store)
    await store.claim("run", CLAIM)
    assert not await store.append("run", attempt, rows(1, WHOLE), True)
    assert await journal(store) == []
    assert await store.append("run", 2, rows(1, DONE), True)
    assert await journal(store) == [(1, DONE)]


async def test_nothing_is_appended_to_a_run_that_does_not_run(store: Store) -> None:
    await store.submit(new_run())
    assert not await store.append("run", 0, rows(1, WHOLE), False)
    await store.claim("run", CLAIM)
    await store.release("run", 1)
    assert not await store.append("run", 1, rows(1, WHOLE), False)
    assert not await store.append("unknown", 1, rows(1, WHOLE, run_id="unknown"), False)
    assert await journal(store) == []
    assert await journal(store, "unknown") == []


@pytest.mark.parametrize("status", [COMPLETED, ERROR, CANCELLED, PAUSED])
async def test_nothing_is_appended_to_a_run_that_was_settled(
    store: Store, status: RunStatus
) -> None:
    await stand_still(store, status)
    assert not await store.append("run", 1, rows(3, WHOLE), False)
    assert await journal(store) == [(1, WHOLE), (2, DONE)]


async def test_a_run_whose_cancel_was_asked_for_goes_on_writing_until_it_stops(
    store: Store,
) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert await store.append("run", 1, rows(1, WHOLE), False)
    assert settled_as(await store.settle(settling(rows(2, DONE)))) is CANCELLED
    assert await journal(store) == [(1, WHOLE), (2, DONE)]


async def test_a_thousand_rows_are_one_append(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    many = rows(1, *[PIECE] * 1000)
    assert await store.append("run", 1, many, True)
    found = await store.events("run", 0)
    assert [row.seq for row in found] == list(range(1, 1001))


@pytest.mark.parametrize(
    "payload",
    ['{"text":"\\u0000 \\ud800 {} %s $1 ?1 🦊"}', '{"b":1,  "a":[1e400,0.10],"a":2}', "null"],
)
async def test_a_payload_comes_back_letter_by_letter(store: Store, payload: str) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.append("run", 1, rows(1, PIECE, payload=payload), False)
    await store.settle(settling(rows(2, DONE, payload=payload), status=PAUSED))
    assert await store.resume("run", PAUSED, 1, rows(3, WHOLE, payload=payload))
    assert [row.payload for row in await store.events("run", 0)] == [payload] * 3


async def test_a_payload_of_a_megabyte_comes_back_whole(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    payload = '{"text":"' + "\\u0000é🦊x" * 80_000 + '"}'
    assert len(payload.encode()) > 1_000_000
    assert await store.append("run", 1, rows(1, PIECE, payload=payload), True)
    [found] = await store.events("run", 0)
    assert found.payload == payload


# --- settle


async def test_the_last_rows_are_written_with_the_end(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.append("run", 1, rows(1, WHOLE), False)
    assert settled_as(await store.settle(settling(rows(1, WHOLE, DONE)))) is COMPLETED
    assert await journal(store) == [(1, WHOLE), (2, DONE)]


async def test_an_end_that_is_refused_writes_no_rows_and_folds_nothing(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await store.append("run", 1, rows(1, PIECE), False)
    await sweep(store)
    await store.claim("run", CLAIM)
    assert await store.settle(settling(rows(2, WHOLE), fold_before=2)) is None
    assert await journal(store) == [(1, PIECE)]


async def test_pieces_of_text_are_folded_away_before_a_number(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.submit(new_run("other", lease=LEASE))
    await store.append("run", 1, rows(1, PIECE, DONE, PIECE, WHOLE, PIECE), False)
    await store.append("other", 1, rows(1, PIECE, run_id="other"), False)
    await store.settle(settling(rows(6, PIECE), fold_before=4))
    assert await journal(store) == [(2, DONE), (4, WHOLE), (5, PIECE), (6, PIECE)]
    assert await journal(store, "other") == [(1, PIECE)]


async def test_nothing_is_folded_away_before_zero(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.append("run", 1, rows(1, PIECE, WHOLE), False)
    await store.settle(settling())
    assert await journal(store) == [(1, PIECE), (2, WHOLE)]


async def test_a_paused_run_has_not_finished_and_waits_for_nobody(store: Store) -> None:
    await stand_still(store, PAUSED)
    found = await store.get("run")
    assert found is not None
    assert (found.status, found.finished_at, found.error) == (PAUSED, None, '"no"')
    assert await store.claim("run", CLAIM) is None
    assert await store.extend([("run", 1)], LEASE) == {}
    assert await store.settle(ending()) is None
    await store.release("run", 1)
    assert await status_of(store) is PAUSED
    assert await store.queue.dequeue(["agent"], 9) == []


async def test_a_paused_run_is_cancelled_at_once_and_stays_so(store: Store) -> None:
    await stand_still(store, PAUSED)
    assert await store.cancel("run")
    found = await store.get("run")
    assert found is not None
    assert found.status is CANCELLED
    assert found.finished_at is not None
    assert not await store.resume("run", PAUSED, 1, rows(3, DONE))
    assert len(await journal(store)) == 2


async def test_a_pause_of_a_run_whose_cancel_was_asked_for_is_its_end(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.cancel("run")
    assert settled_as(await store.settle(ending(status=PAUSED))) is CANCELLED
    found = await store.get("run")
    assert found is not None
    assert found.finished_at is not None


# --- what attempts write at the same time


async def test_in_one_batch_only_the_newest_attempt_writes(store: Store) -> None:
    """One process may have several attempts at a run, when it was too slow for its own lease."""
    await store.submit(new_run(lease=EXPIRED))
    for claim in (LOST, CLAIM):
        await sweep(store)
        await store.claim("run", claim)

    def append(attempt: int) -> Awaitable[Appended | None]:
        mine = rows(1, DONE, *[WHOLE] * (4 - attempt), payload=str(attempt))
        return store.append("run", attempt, mine, False)

    assert await asyncio.gather(*map(append, (1, 3, 2))) == [None, Appended(), None]
    assert [(row.seq, row.payload) for row in await store.events("run", 0)] == [(1, "3"), (2, "3")]

    ends = [
        settling(rows(3, *[DONE] * (4 - attempt), payload=str(attempt)), attempt=attempt)
        for attempt in (1, 3, 2)
    ]
    settled = await asyncio.gather(*map(store.settle, ends))
    assert list(map(settled_as, settled)) == [None, COMPLETED, None]
    assert [row.payload for row in await store.events("run", 0)] == ["3"] * 3


async def test_a_row_was_written_before_its_attempt_expired_or_not_at_all(db: Database) -> None:
    """An attempt writes row after row, in two processes, while another one gets its run."""
    other = same(db) if not isinstance(db, InMemoryDb) else db
    here, there = await db.store(), await other.store()
    await here.submit(new_run(lease=EXPIRED))
    begun, refused = asyncio.Event(), asyncio.Event()
    written: list[int] = []

    async def append(seq: int) -> None:
        mine = rows(seq, DONE, payload='"old"')
        if await (here, there)[seq % 2].append("run", 1, mine, False):
            written.append(seq)
        else:
            refused.set()
        if len(written) > 50:
            begun.set()

    async def write() -> None:
        for first in count(1, 20):
            await asyncio.gather(*(append(seq) for seq in range(first, first + 20)))
            if refused.is_set():  # The sweep has met a write.
                return

    async def take_over() -> int:
        await begun.wait()
        while not (await sweep(there)).expired:  # A run that is being written to is left alone.
            pass
        claimed = await there.claim("run", CLAIM)
        assert claimed is not None
        seen = [row.seq for row in await there.events("run", 0)]
        assert claimed.last_seq == max(seen)
        new = rows(claimed.last_seq + 1, WHOLE, WHOLE, payload='"new"')
        assert await there.append("run", 2, new, False)
        return claimed.last_seq

    async with asyncio.timeout(60):
        _, last_seq = await asyncio.gather(write(), take_over())
    found = await here.events("run", 0)
    old = [row.seq for row in found if row.payload == '"old"']
    assert old == sorted(written)
    assert max(old) == last_seq
    assert [row.seq for row in found if row.payload == '"new"'] == [last_seq + 1, last_seq + 2]


@pytest.mark.parametrize("appends", [1, 20])
async def test_claims_know_what_was_being_written_when_they_came(
    db: Database, appends: int
) -> None:
    other = same(db) if not isinstance(db, InMemoryDb) else db
    here, there = await db.store(), await other.store()
    run_ids = [f"run-{number}" for number in range(40)]
    await asyncio.gather(*(here.submit(new_run(run_id, lease=EXPIRED)) for run_id in run_ids))

    async def append(run_id: str) -> bool:
        types = [DONE] * appends
        return bool(await here.append(run_id, 1, rows(1, *types, run_id=run_id), False))

    async def claim() -> list[RunRecord | None]:
        expired: list[str] = []
        while len(expired) < len(run_ids):  # One that is being written to is left for the next.
            expired += (await sweep(there)).expired
        return await asyncio.gather(*(there.claim(each, CLAIM) for each in run_ids))

    appending = asyncio.gather(*(append(run_id) for run_id in run_ids))
    claims, written = await asyncio.gather(claim(), appending)
    for run_id, wrote, claimed in zip(run_ids, written, claims, strict=True):
        assert claimed is not None
        expected = appends if wrote else 0
        assert (claimed.last_seq, len(await here.events(run_id, 0))) == (expected, expected)


# --- claim


async def test_a_claim_tells_the_last_number_of_the_journal(store: Store) -> None:
    await store.submit(new_run(lease=EXPIRED))
    await store.append("run", 1, rows(1, DONE, PIECE), False)
    await sweep(store)
    second = await store.claim("run", CLAIM)
    assert second is not None
    assert second.last_seq == 2
    await store.append("run", 2, rows(3, DONE), False)
    await store.release("run", 2)
    third = await store.claim("run", CLAIM)
    assert third is not None
    assert third.last_seq == 3


@pytest.mark.parametrize("asked", ["at submit", "while pending", "while running", "never"])
async def test_a_claim_tells_whether_the_events_are_read(store: Store, asked: str) -> None:
    await store.submit(new_run(streamed=asked == "at submit"))
    if asked == "while pending":
        await store.read("run")
    first = await store.claim("run", LOST)
    assert first is not None
    assert first.streamed == (asked in ("at submit", "while pending"))
    if asked == "while running":
        await store.read("run")
    await sweep(store)
    second = await store.claim("run", CLAIM)
    assert second is not None
    assert second.streamed == (asked != "never")
    assert await store.wanted(["run"]) == ([] if asked == "never" else [("run", False, True)])


@pytest.mark.parametrize("status", [COMPLETED, ERROR, CANCELLED])
async def test_a_run_that_has_ended_is_not_asked_for_its_events(
    store: Store, status: RunStatus
) -> None:
    await stand_still(store, status)
    before = await execute(store, "SELECT * FROM {runs}")
    await store.read("run")
    await store.read("unknown")
    assert await execute(store, "SELECT * FROM {runs}") == before
    assert await store.wanted(["run"]) == []


# --- signals


async def listening(db: Database) -> Recorder:
    recorder = Recorder()
    await (await db.store()).listen(recorder)
    return recorder


async def test_a_reader_is_notified(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    recorder = await listening(db)
    await store.read("run")
    await recorder.gets(READ)


async def test_a_reader_in_another_event_loop_is_notified(db: Database) -> None:
    await (await db.store()).submit(new_run(lease=LEASE))
    recorder = await listening(db)
    await elsewhere(db, lambda store: store.read("run"))
    await recorder.gets(READ)


async def test_streamed_rows_are_notified(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    recorder = await listening(db)
    await store.append("run", 1, rows(1, PIECE), True)
    await recorder.gets(CHANGED)
    await elsewhere(db, lambda store: store.append("run", 1, rows(2, PIECE), True))
    await recorder.gets(CHANGED)


async def test_rows_that_nobody_reads_are_not_notified(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    recorder = await listening(db)
    await store.append("run", 1, rows(1, PIECE), False)
    await store.read("run")
    assert await recorder.gets(READ) == [READ]


@pytest.mark.parametrize("status", [COMPLETED, ERROR, CANCELLED, PAUSED])
async def test_who_reads_a_run_is_notified_of_its_end_and_its_pause(
    db: Database, status: RunStatus
) -> None:
    store = await db.store()
    await store.submit(new_run(lease=LEASE))
    await store.read("run")
    recorder = await listening(db)
    await elsewhere(db, lambda store: store.settle(ending(status=status)))
    await recorder.gets(CHANGED)


# --- resume


@pytest.mark.parametrize("status", [PAUSED, ERROR])
async def test_a_run_that_stands_still_is_resumed(store: Store, status: RunStatus) -> None:
    await stand_still(store, status)
    assert await store.resume("run", status, 1, rows(3, "AttemptFailed", "Continued"))
    found = await store.get("run")
    assert found is not None
    assert (found.status, found.attempt, found.error) == (PENDING, 1, None)
    assert found.finished_at is None
    added = [(3, "AttemptFailed"), (4, "Continued")]
    assert await journal(store, after=2) == added
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert (claimed.attempt, claimed.last_seq) == (2, 4)
    assert not await store.append("run", 1, rows(5, DONE), False)
    assert settled_as(await store.settle(ending(attempt=2))) is COMPLETED


@pytest.mark.parametrize("status", [PAUSED, ERROR])
@pytest.mark.parametrize("now", [PENDING, RUNNING, PAUSED, ERROR, COMPLETED, CANCELLED])
async def test_a_run_in_another_status_is_not_resumed(
    store: Store, now: RunStatus, status: RunStatus
) -> None:
    if now is status:
        return
    if now in (PENDING, RUNNING):
        await store.submit(new_run(lease=LEASE if now is RUNNING else None))
    else:
        await stand_still(store, now)
    before = await execute(store, "SELECT * FROM {runs}"), await journal(store)
    assert not await store.resume("run", status, 1, rows(3, DONE))
    assert (await execute(store, "SELECT * FROM {runs}"), await journal(store)) == before
    assert not await store.resume("unknown", status, 1, rows(1, DONE, run_id="unknown"))


@pytest.mark.parametrize("status", [PAUSED, ERROR])
@pytest.mark.parametrize("attempt", [0, 1, 3])
async def test_a_run_that_another_attempt_has_brought_there_is_not_resumed(
    store: Store, status: RunStatus, attempt: int
) -> None:
    await stand_still(store, status)
    assert await store.resume("run", status, 1, [])
    assert await store.claim("run", CLAIM) is not None
    await store.settle(ending(attempt=2, status=status))
    before = await execute(store, "SELECT * FROM {runs}"), await journal(store)
    assert not await store.resume("run", status, attempt, rows(3, DONE))
    assert (await execute(store, "SELECT * FROM {runs}"), await journal(store)) == before


@pytest.mark.parametrize("status", [PAUSED, ERROR])
async def test_of_many_who_resume_a_run_at_once_one_does(db: Database, status: RunStatus) -> None:
    other = same(db) if not isinstance(db, InMemoryDb) else db
    here, there = await db.store(), await other.store()
    await stand_still(here, status)
    resumed = await asyncio.gather(
        *(
            store.resume("run", status, 1, rows(3, DONE))
            for store in (here, there)
            for _ in range(5)
        )
    )
    assert len([each for each in resumed if each is not None]) == 1
    assert len(await journal(here)) == 3


async def test_a_run_is_resumed_with_nothing_to_add(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    await store.settle(ending(status=ERROR))
    assert await store.resume("run", ERROR, 1, [])
    assert await journal(store) == []
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.last_seq == 0


@pytest.mark.parametrize("status", [PAUSED, ERROR])
async def test_a_resumed_run_is_offered_again_and_once(store: Store, status: RunStatus) -> None:
    await stand_still(store, status)
    assert await store.resume("run", status, 1, [])
    assert not await store.resume("run", status, 1, [])
    assert await Deliveries(store).offered() == ["run"]


async def test_a_fork_is_offered_once_and_one_that_was_cancelled_before_not_at_all(
    store: Store,
) -> None:
    await stand_still(store, COMPLETED)
    assert await store.fork(new_run("fork"), "run", 2)
    assert not await store.fork(new_run("fork"), "run", 2)
    await store.cancel("cancelled")
    await store.fork(new_run("cancelled"), "run", 2)
    assert await Deliveries(store).offered() == ["fork"]


# --- fork


async def test_a_fork_begins_as_its_origin_did_without_what_was_on_its_way(store: Store) -> None:
    await store.submit(new_run(lease=LEASE))
    kinds = ["CallBegun", PIECE, WHOLE, "TextSlice", DONE, WHOLE]
    await store.append("run", 1, rows(1, *kinds, payload='{"v":1}'), False)
    before = await store.events("run", 0)

    fork = new_run("fork", session_id="new", user_id="ada", metadata='{"a":1}')
    assert await store.fork(fork, "run", 5)

    assert await journal(store, "fork") == [(3, WHOLE), (5, DONE)]
    assert {row.payload for row in await store.events("fork", 0)} == {'{"v":1}'}
    assert await store.events("run", 0) == before
    sessions = await execute(store, "SELECT session_id FROM {sessions} WHERE session_id = 'new'")
    assert sessions == [{"session_id": "new"}]
    claimed = await store.claim("fork", CLAIM)
    assert claimed is not None
    assert (claimed.status, claimed.attempt, claimed.last_seq) == (RUNNING, 1, 5)
    assert (claimed.input, claimed.user_id, claimed.metadata) == ('"Hi"', "ada", '{"a":1}')
    assert await store.append("fork", 1, rows(6, DONE, run_id="fork"), False)
    assert await store.append("run", 1, rows(7, PIECE), False)
    assert await journal(store, "fork") == [(3, WHOLE), (5, DONE), (6, DONE)]


async def test_a_fork_from_the_beginning_or_of_nothing_has_an_empty_journal(store: Store) -> None:
    await stand_still(store, COMPLETED)
    assert await store.fork(new_run("first"), "run", 0)
    assert await store.fork(new_run("second"), "unknown", 9)
    assert await journal(store, "first") == []
    assert await journal(store, "second") == []


async def test_a_fork_whose_id_is_in_use_changes_nothing(store: Store) -> None:
    await stand_still(store, COMPLETED)
    await store.submit(new_run("used", input='"Other"', lease=LEASE))
    await store.append("used", 1, rows(1, DONE, run_id="used"), False)
    before = await execute(store, "SELECT * FROM {runs}")
    assert not await store.fork(new_run("used"), "run", 2)
    assert not await store.fork(new_run("run"), "run", 2)
    assert await execute(store, "SELECT * FROM {runs}") == before
    assert await journal(store, "used") == [(1, DONE)]


async def test_of_many_forks_with_one_id_at_once_one_is_accepted(store: Store) -> None:
    await stand_still(store, COMPLETED)
    forked = await asyncio.gather(*(store.fork(new_run("fork"), "run", 2) for _ in range(10)))
    assert len([each for each in forked if each is not None]) == 1
    assert len(await journal(store, "fork")) == 2


async def test_a_fork_after_its_pending_cancel_is_cancelled(store: Store) -> None:
    await stand_still(store, COMPLETED)
    await store.cancel("fork")
    assert await store.fork(new_run("fork"), "run", 2)
    found = await store.get("fork")
    assert found is not None
    assert (found.status, found.attempt, found.session_id) == (CANCELLED, 0, "session")
    assert found.finished_at is not None
    assert await store.claim("fork", CLAIM) is None


# --- children, outputs


async def test_children_are_all_descendants_that_have_not_ended(store: Store) -> None:
    await store.submit(new_run("parent", lease=LEASE))
    await store.submit(new_run("pending", parent_run_id="parent"))
    await store.submit(new_run("running", parent_run_id="parent", lease=LEASE))
    await store.submit(new_run("paused", parent_run_id="parent", lease=LEASE))
    await store.settle(ending("paused", status=PAUSED))
    for status in (COMPLETED, ERROR, CANCELLED):
        await store.submit(new_run(status.value, parent_run_id="parent", lease=LEASE))
        await store.settle(ending(status.value, status=status))
    await store.submit(new_run("grandchild", parent_run_id="COMPLETED"))
    await store.submit(new_run("stranger"))
    descendants = ["grandchild", "paused", "pending", "running"]
    assert sorted(await store.children("parent")) == descendants
    assert await store.children("COMPLETED") == ["grandchild"]
    assert await store.children("stranger") == []
    assert await store.children("unknown") == []


async def test_a_run_keeps_its_parent_through_its_life(store: Store) -> None:
    await store.submit(new_run(parent_run_id="parent"))
    await store.claim("run", CLAIM)
    await store.settle(ending(status=PAUSED))
    assert await store.resume("run", PAUSED, 1, [])
    assert await store.children("parent") == ["run"]
    await store.claim("run", CLAIM)
    await store.settle(ending(attempt=2))
    assert await store.children("parent") == []
    [found] = await execute(store, "SELECT parent_run_id FROM {runs} WHERE run_id = 'run'")
    assert found == {"parent_run_id": "parent"}


async def test_a_child_whose_cancel_came_first_has_a_parent_and_has_ended(store: Store) -> None:
    await store.cancel("run")
    await store.submit(new_run(parent_run_id="parent"))
    assert await store.children("parent") == []
    [found] = await execute(store, "SELECT parent_run_id FROM {runs} WHERE run_id = 'run'")
    assert found == {"parent_run_id": "parent"}


async def test_outputs_are_in_the_order_in_which_the_runs_were_accepted(store: Store) -> None:
    for run_id in ("c", "a", "b", "no output"):
        await store.submit(new_run(run_id, lease=LEASE))
    for run_id in ("b", "c", "a"):
        await store.settle(ending(run_id, output=f'"{run_id}"'))
    asked = ["a", "b", "c", "a", "unknown", "no output"]
    assert await store.outputs(asked) == [("c", '"c"'), ("a", '"a"'), ("b", '"b"')]
    assert await store.outputs([]) == []
