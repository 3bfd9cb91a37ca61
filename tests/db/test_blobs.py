"""What is too large for a row: kept in chunks beside its run, found by its hash, gone with it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random

import pytest
from stores import CLAIM, ending, execute, new_run

from kern.db.base import Store
from kern.db.blobs import CHUNK, CHUNKS
from kern.db.database import Database
from kern.db.postgres.store import PostgresStore
from kern.dispatch.maintenance import prune
from kern.errors import BlobNotFoundError
from kern.run.content import Blob

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * CHUNKS, 2 * CHUNK * CHUNKS + 1]


def some(size: int) -> bytes:
    """Return bytes of which no two chunks are the same."""
    return Random(size).randbytes(size)


async def chunks(store: Store, run_id: str) -> list[tuple[str, int]]:
    rows = await execute(
        store, "SELECT hash, chunk FROM {blobs} WHERE run_id = {1} ORDER BY chunk", run_id
    )
    return [(str(row["hash"]), int(str(row["chunk"]))) for row in rows]


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_put_is_found_by_its_hash(store: Store, size: int) -> None:
    data = some(size)
    blob = await store.blobs.put("run", data)
    assert blob == Blob(sha256(data).hexdigest(), size)
    assert await store.blobs.get("run", blob.hash) == data
    assert len(await chunks(store, "run")) == max(1, -(-size // CHUNK))


async def test_the_same_data_again_changes_nothing(store: Store) -> None:
    data = some(3 * CHUNK)
    assert await store.blobs.put("run", data) == await store.blobs.put("run", data)
    assert len(await chunks(store, "run")) == 3


async def test_each_run_has_its_own(store: Store) -> None:
    blob = await store.blobs.put("run", b"mine")
    with pytest.raises(BlobNotFoundError, match="of run 'other' is not there"):
        await store.blobs.get("other", blob.hash)


@pytest.mark.parametrize("damage", ["chunk = 1", "chunk = 3", "chunk >= 0"])
async def test_what_is_not_whole_is_not_handed_out(store: Store, damage: str) -> None:
    data = some(4 * CHUNK)
    blob = await store.blobs.put("run", data)
    await execute(store, f"DELETE FROM {{blobs}} WHERE {damage}")
    with pytest.raises(BlobNotFoundError, match="or not whole"):
        await store.blobs.get("run", blob.hash)
    # A writer that was lost in the middle leaves it like this, and the next one completes it.
    await store.blobs.put("run", data)
    assert await store.blobs.get("run", blob.hash) == data


async def test_a_branch_has_a_copy_that_outlives_its_origin(store: Store) -> None:
    await store.submit(new_run("origin", session_id="one"))
    blob = await store.blobs.put("origin", some(2 * CHUNK))
    assert await store.fork(new_run("branch", session_id="two"), "origin", 0)
    await end_long_ago(store, "origin")
    assert await pruned(store) == 1
    assert await chunks(store, "origin") == []
    assert await store.blobs.get("branch", blob.hash) == some(2 * CHUNK)


async def test_a_branch_whose_id_is_in_use_copies_nothing(store: Store) -> None:
    for run_id in ("origin", "branch"):
        await store.submit(new_run(run_id, session_id=run_id))
    await store.blobs.put("origin", b"data")
    assert not await store.fork(new_run("branch"), "origin", 0)
    assert await chunks(store, "branch") == []


async def test_what_is_pruned_takes_its_blobs_along_and_no_others(store: Store) -> None:
    for run_id in ("old", "new"):
        await store.submit(new_run(run_id, session_id=run_id))
        await store.blobs.put(run_id, some(2 * CHUNK))
    await end_long_ago(store, "old")
    assert await pruned(store) == 1
    assert await chunks(store, "old") == []
    assert len(await chunks(store, "new")) == 2


async def test_a_run_that_is_withdrawn_takes_its_blobs_along(store: Store) -> None:
    for run_id in ("first", "second"):
        await store.blobs.put(run_id, b"data")
        await store.submit(new_run(run_id, ordered=True))
    assert not await store.withdraw("first")
    assert await store.withdraw("second")
    assert len(await chunks(store, "first")) == 1
    assert await chunks(store, "second") == []


async def test_a_large_one_is_written_a_few_megabytes_at_a_time(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await db.store()
    sizes: list[int] = []
    write = store.blobs._write

    async def measured(run_id: str, hash: str, first: int, chunks: list[bytes]) -> None:
        sizes.append(sum(map(len, chunks)))
        await write(run_id, hash, first, chunks)

    monkeypatch.setattr(store.blobs, "_write", measured)
    await store.blobs.put("run", bytes(10 * 1024 * 1024))
    assert sizes == [4 * 1024 * 1024] * 2 + [2 * 1024 * 1024]


async def end_long_ago(store: Store, run_id: str) -> None:
    assert await store.claim(run_id, CLAIM) is not None
    assert await store.settle(ending(run_id)) is not None
    moment = str((datetime.now(UTC) - timedelta(days=40)).timestamp())
    then = (
        "to_timestamp({2}::text::float8)"
        if isinstance(store, PostgresStore)
        else "CAST({2} AS REAL)"
    )
    await execute(
        store,
        f"UPDATE {{runs}} SET created_at = {then}, finished_at = {then} WHERE run_id = {{1}}",
        run_id,
        moment,
    )


async def pruned(store: Store) -> int:
    before = datetime.now(UTC) - timedelta(days=30)
    return sum([runs async for runs in prune(store.retention, before)])
