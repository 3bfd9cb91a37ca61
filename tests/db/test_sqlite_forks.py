"""The child of a fork uses SQLite as if it had not been there before."""

import asyncio

import pytest
from stores import (
    OPEN,
    Spawn,
    address,
    execute,
)

from kern.db.sqlite import SqliteDb

FORKS = f"""{OPEN}
import os, threading
from kern.db.in_memory import InMemoryDb

if sys.argv[1] == ":memory:":
    db = InMemoryDb()

def busy():
    async def write():
        store = await db.store()
        for number in range(10**6):
            await store.submit(NewRun(f"parent-{{number}}", "session", "agent", None, "{{}}"))
    asyncio.run(write())

async def child(number):
    store = await db.store()
    await store.listen(lambda signal: None)
    await store.submit(NewRun(f"child-{{number}}", "session", "agent", None, "{{}}"))
    heart = db.open_heart()
    await asyncio.to_thread(heart.extend, [], 9)

async def begin():
    await (await db.store()).ping()

asyncio.run(begin())
threading.Thread(target=busy, daemon=True).start()
for number in range(int(os.environ["FORKS"])):
    if not (pid := os.fork()):
        asyncio.run(child(number))
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(1)
print("done", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("forks", [8, pytest.param(40, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("where", ["file", "memory"])
async def test_the_child_of_a_fork_uses_the_database_as_its_own(
    sqlite_db: SqliteDb, spawn: Spawn, where: str, forks: int
) -> None:
    """Also while a thread of the parent is at work, and it loses nothing that it has written."""
    path, table = address(sqlite_db)
    process = spawn(FORKS, path if where == "file" else ":memory:", table, FORKS=str(forks))
    assert await asyncio.to_thread(process.wait, 50) == 0
    if where == "file":
        store = await sqlite_db.store()
        children = [await store.get(f"child-{number}") for number in range(forks)]
        assert all(children)
        [check] = await execute(
            store, "SELECT integrity_check AS found FROM pragma_integrity_check"
        )
        assert check == {"found": "ok"}


async def test_a_child_that_outlives_its_parent_keeps_what_it_writes(
    sqlite_db: SqliteDb, spawn: Spawn
) -> None:
    """SQLite forgets its locks in a fork, and who closes the file last deletes the others' log."""
    script = f"""{OPEN}
import os

async def submit(run_id):
    await (await db.store()).submit(NewRun(run_id, "session", "agent", None, "{{}}"))

async def parent():
    await submit("parent")
    closed, close = os.pipe()
    if not os.fork():
        os.close(close)
        asyncio.run(child(closed))
        os._exit(0)
    await submit("parent again")
    return close

async def child(closed):
    await submit("before")
    os.read(closed, 1)  # Until the parent has closed the file, and its end of the pipe.
    await submit("after")

close = asyncio.run(parent())
asyncio.run(submit("parent at last"))
os.close(close)
sys.exit(os.wait()[1])
"""
    process = spawn(script, *address(sqlite_db))
    assert await asyncio.to_thread(process.wait, 40) == 0
    store = await sqlite_db.store()
    run_ids = ("parent", "before", "parent again", "parent at last", "after")
    assert all([await store.get(run_id) for run_id in run_ids])
