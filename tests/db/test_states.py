"""How a database keeps the states of sessions, and what runs change in them."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from stores import CLAIM, LOST, OPEN, Spawn, address, ending, new_run, same, sweep
from strategies import json_values, texts

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres import schema as postgres_schema
from kern.db.postgres.migrations import MIGRATIONS
from kern.db.sqlite import SqliteDb
from kern.db.sqlite import schema as sqlite_schema
from kern.db.values import Appended
from kern.local.postgres import EmbeddedPostgres
from kern.run.base import RunStatus
from kern.run.record import JournalRow
from kern.run.state import StatePatch, values_of

EXAMPLES = 20


def row(seq: int, patch: StatePatch | None, run_id: str = "run") -> JournalRow:
    """Return a row that changes the state of its session."""
    return JournalRow(run_id, seq, seq, "ToolEnded", False, "{}", state=patch)


def sets(seq: int, run_id: str = "run", /, **values: object) -> JournalRow:
    """Return a row that sets keys."""
    return row(seq, StatePatch(values), run_id)


def deletes(seq: int, run_id: str, *keys: str) -> JournalRow:
    """Return a row that deletes keys."""
    return row(seq, StatePatch(delete=keys), run_id)


def begins(seq: int, run_id: str = "run", /, **values: object) -> JournalRow:
    """Return a row with which a new session begins."""
    return row(seq, StatePatch(begin=values), run_id)


async def begin(store: Store, *run_ids: str, session_id: str = "session") -> None:
    """Have runs of a session execute at the same time."""
    for run_id in run_ids or ("run",):
        await store.submit(new_run(run_id, session_id=session_id))
        assert await store.claim(run_id, CLAIM) is not None


async def state(store: Store, session_id: str = "session") -> dict[str, object]:
    """Return the state of a session."""
    return values_of((await store.states.of(session_id)).texts)


async def version(store: Store) -> int:
    """Return how often the state of the session was changed."""
    return (await store.states.of("session")).version


async def test_a_session_has_no_state_at_first(store: Store) -> None:
    assert await store.states.of("session") == ({}, frozenset(), 0)
    await begin(store)
    assert await store.states.of("session") == ({}, frozenset(), 0)


async def test_rows_change_the_state_with_what_is_appended_and_settled(store: Store) -> None:
    await begin(store)
    assert await store.append("run", 1, [sets(1, a=1, b=[1]), sets(2, a=2)], False) == Appended()
    assert await state(store) == {"a": 2, "b": [1]}
    settled = await store.settle(
        replace(ending(), journal=(deletes(3, "run", "b"), sets(4, c=None)))
    )
    assert settled is not None
    assert settled.lost == ()
    assert await state(store) == {"a": 2, "c": None}
    assert (await store.states.of("session")).deleted == {"b"}


async def test_a_paused_and_a_cancelled_run_keep_what_they_have_committed(store: Store) -> None:
    await begin(store, "paused", "cancelled")
    await store.append("cancelled", 1, [sets(1, "cancelled", a=1)], False)
    await store.cancel("cancelled")
    end = ending("cancelled", status=RunStatus.cancelled)
    await store.settle(replace(end, journal=(sets(2, "cancelled", b=2),)))
    end = ending("paused", status=RunStatus.paused)
    await store.settle(replace(end, journal=(sets(1, "paused", c=3),)))
    assert await state(store) == {"a": 1, "b": 2, "c": 3}


async def test_the_same_rows_again_change_nothing(store: Store) -> None:
    await begin(store, "run", "later")
    await store.append("run", 1, [sets(1, a=1)], False)
    await store.append("later", 1, [sets(1, "later", b=1)], False)
    before = await store.states.of("session")
    for _ in range(2):  # The answer to the first may have been lost.
        assert await store.append("run", 1, [sets(1, a=1)], False) == Appended()
    assert await store.states.of("session") == before
    await store.append("run", 1, [sets(1, a="written before"), sets(2, a=2)], False)
    assert await state(store) == {"a": 2, "b": 1}


async def test_a_stale_attempt_changes_no_state(store: Store) -> None:
    await store.submit(new_run())
    await store.claim("run", LOST)
    await store.append("run", 1, [sets(1, a=1)], False)
    await sweep(store)
    assert await store.claim("run", CLAIM) is not None
    assert await store.append("run", 1, [sets(2, a="stale", b=1)], False) is None
    assert await store.settle(replace(ending(), journal=(sets(2, a="stale"),))) is None
    appended = await asyncio.gather(
        store.append("run", 1, [sets(2, a="stale")], False),
        store.append("run", 2, [sets(2, c=1)], False),
    )
    assert list(appended) == [None, Appended()]
    assert await state(store) == {"a": 1, "c": 1}


async def test_of_two_runs_the_later_accepted_one_has_the_last_word(store: Store) -> None:
    await begin(store, "earlier", "later")
    await store.append(
        "later", 1, [sets(1, "later", a=2, gone=2), deletes(2, "later", "gone")], False
    )
    rows = [sets(1, "earlier", a=1, b=1, gone=1), deletes(2, "earlier", "a", "c")]
    appended = await store.append("earlier", 1, rows, False)
    assert appended is not None
    assert sorted(appended.lost) == ["a", "gone"]
    assert await state(store) == {"a": 2, "b": 1}
    await store.append("later", 1, [sets(3, "later", b=2)], False)
    end = replace(ending("earlier"), journal=(sets(3, "earlier", b=3, d=4),))
    settled = await store.settle(end)
    assert settled is not None
    assert settled.lost == ("b",)
    assert await state(store) == {"a": 2, "b": 2, "d": 4}


async def test_in_one_batch_the_later_run_has_the_last_word_too(store: Store) -> None:
    await begin(store, "earlier", "later")
    for seq, order in enumerate((("earlier", "later"), ("later", "earlier")), 1):
        batch = [store.append(run_id, 1, [sets(seq, run_id, a=run_id)], False) for run_id in order]
        answers = dict(zip(order, await asyncio.gather(*batch), strict=True))
        assert answers["later"] == Appended()
        assert (await state(store))["a"] == "later"
    assert answers["earlier"] == Appended(("a",))


patches = st.builds(
    lambda values, delete: StatePatch(
        {key: value for key, value in values.items() if key not in delete}, tuple(delete)
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2),
    st.sets(st.sampled_from("abc"), max_size=1),
)


async def test_runs_that_change_different_keys_lose_nothing_whatever_their_order(
    db: Database,
) -> None:
    """And of those that change the same key the last accepted one wins; what others lose is told.

    Some changes are written at the same time.
    """
    store, number = await db.store(), 0

    async def check(steps: list[list[tuple[int, StatePatch]]]) -> None:
        nonlocal number
        number += 1
        session, runs = f"session {number}", [f"{number} {run}" for run in range(3)]
        await begin(store, *runs, session_id=session)
        expected: dict[str, tuple[int, object]] = {}
        for seq, together in enumerate(steps, 1):
            # At one time each run writes once.
            writes, before = dict(together), dict(expected)
            appended = await asyncio.gather(
                *(
                    store.append(
                        runs[run],
                        1,
                        [
                            row(2 * seq, StatePatch({runs[run]: seq}), runs[run]),
                            row(2 * seq + 1, patch, runs[run]),
                        ],
                        False,
                    )
                    for run, patch in writes.items()
                )
            )
            lost = {run: set(each.lost) for run, each in zip(writes, appended, strict=True) if each}
            for run in sorted(writes):
                changes = {**writes[run].set, **dict.fromkeys(writes[run].delete)}
                for key, value in changes.items():
                    if run >= expected.get(key, (0,))[0]:
                        expected[key] = run, value
                expected[runs[run]] = run, seq
            for run, patch in writes.items():
                keys = {*patch.set, *patch.delete}
                assert lost[run] <= keys
                assert lost[run] >= {key for key in keys if before.get(key, (0,))[0] > run}
        assert await state(store, session) == {
            key: value for key, (_, value) in expected.items() if value is not None
        }

    loop = asyncio.get_running_loop()

    @settings(max_examples=EXAMPLES)
    @given(st.lists(st.lists(st.tuples(st.integers(0, 2), patches), max_size=3), max_size=5))
    def each(steps: list[list[tuple[int, StatePatch]]]) -> None:
        asyncio.run_coroutine_threadsafe(check(steps), loop).result(30)

    await asyncio.to_thread(each)


async def test_a_session_begins_with_what_it_has_never_had(store: Store) -> None:
    await begin(store, "run", "later")
    await store.append("run", 1, [begins(1, a=0, b=0), sets(2, a=1)], False)
    await store.append("later", 1, [begins(1, "later", a=0, b=5, c=0)], False)
    assert await state(store) == {"a": 1, "b": 0, "c": 0}
    await store.append("run", 1, [deletes(3, "run", "c"), deletes(4, "run", "b")], False)
    appended = await store.append("later", 1, [begins(2, "later", b=0, c=0)], False)
    assert appended == Appended()
    assert await state(store) == {"a": 1}


async def test_a_change_from_outside_counts_as_a_run_of_this_moment(store: Store) -> None:
    assert not await store.states.change("session", StatePatch({"a": 1}))
    await begin(store, "before")
    assert await store.states.change("session", StatePatch({"a": "outside", "b": 1}))
    appended = await store.append("before", 1, [sets(1, "before", a="before")], False)
    assert appended == Appended(("a",))
    assert await state(store) == {"a": "outside", "b": 1}
    await begin(store, "after")
    await store.append("after", 1, [sets(1, "after", a="after")], False)
    assert await store.states.change("session", StatePatch(delete=("b",)))
    assert await state(store) == {"a": "after"}


async def test_the_version_counts_up_with_every_change(store: Store) -> None:
    await begin(store)
    seen = [await version(store)]
    for seq, patch in enumerate(
        (StatePatch(begin={"a": 0}), StatePatch({"a": 1, "b": 2}), StatePatch(delete=("b",))), 1
    ):
        await store.append("run", 1, [row(seq, patch)], False)
        seen.append(await version(store))
    assert seen == [0, 1, 3, 4]


async def test_states_of_sessions_are_kept_apart(store: Store) -> None:
    await begin(store, "run", session_id="session")
    await begin(store, "other", session_id="other")
    await asyncio.gather(
        store.append("run", 1, [sets(1, a=1)], False),
        store.append("other", 1, [sets(1, "other", a=2)], False),
    )
    assert await state(store) == {"a": 1}
    assert await state(store, "other") == {"a": 2}


KEYS = ["", " ", "__proto__", "constructor", 'a"b\\c', "a\x00b", "\ud800", "ключ", "😀", "x" * 900]


async def test_any_text_can_be_a_key(store: Store) -> None:
    await begin(store, session_id="s" * 255)
    given = {key: {key: [key]} for key in KEYS}
    assert await store.append("run", 1, [row(1, StatePatch(dict(given)))], False)
    assert await state(store, "s" * 255) == given
    assert await store.append("run", 1, [row(2, StatePatch(delete=(*KEYS[1:],)))], False)
    assert await state(store, "s" * 255) == {"": {"": [""]}}


async def test_any_json_comes_back_as_it_was(db: Database) -> None:
    store, number = await db.store(), 0
    await begin(store)

    async def check(value: Mapping[str, object]) -> None:
        nonlocal number
        number += 1
        assert await store.append("run", 1, [row(number, StatePatch({"k": dict(value)}))], False)
        assert await state(store) == {"k": value}

    loop = asyncio.get_running_loop()

    @settings(max_examples=EXAMPLES)
    @given(st.dictionaries(texts, json_values, max_size=3))
    def each(value: dict[str, object]) -> None:
        asyncio.run_coroutine_threadsafe(check(value), loop).result(30)

    await asyncio.to_thread(each)


async def test_a_fork_into_another_session_brings_what_its_steps_have_changed(store: Store) -> None:
    await begin(store)
    await store.append("run", 1, [sets(1, a=1)], False)
    fork = new_run("fork", session_id="other")
    assert await store.fork(fork, "run", 1, StatePatch({"a": 1}, begin={"b": 0}))
    assert await state(store, "other") == {"a": 1, "b": 0}
    assert await store.fork(new_run("second"), "run", 1)
    assert await state(store) == {"a": 1}


async def test_the_state_of_a_user_is_exported_and_erased(db: Database, store: Store) -> None:
    for run_id, user_id, session_id in (
        ("hers", "alice", "hers"),
        ("ours", "alice", "ours"),
        ("his in ours", "bob", "ours"),
        ("his", "bob", "his"),
    ):
        await store.submit(new_run(run_id, session_id=session_id, user_id=user_id))
        assert await store.claim(run_id, CLAIM) is not None
        end = replace(ending(run_id), journal=(sets(1, run_id, **{run_id: [run_id]}),))
        assert await store.settle(end) is not None
    before = (await store.states.of("ours")).version
    rows = [each async for each in db.aexport_user("alice") if each["kind"] == "state"]
    assert [(each["session_id"], each["key"], each["value"]) for each in rows] == [
        ("hers", "hers", ["hers"]),
        ("ours", "his in ours", ["his in ours"]),
        ("ours", "ours", ["ours"]),
    ]
    await db.adelete_user("alice")
    assert await store.states.of("hers") == ({}, frozenset(), 0)
    ours = await store.states.of("ours")
    assert ours.texts == {}
    assert ours.version > before
    assert await state(store, "his") == {"his": ["his"]}


async def test_a_session_that_is_deleted_leaves_no_state(db: Database, store: Store) -> None:
    await begin(store)
    assert await store.settle(replace(ending(), journal=(sets(1, a=1),))) is not None
    assert await store.users.delete_runs(["run"]) == 1
    assert await store.states.of("session") == ({}, frozenset(), 0)


CHANGE = f"""{OPEN}
from kern.run.record import JournalRow
from kern.run.state import StatePatch

async def main():
    store = await db.store()
    name = sys.stdin.readline().strip()
    for seq in range(1, 10000):
        patch = StatePatch({{name: seq, "both": [name, seq]}})
        row = JournalRow(name, seq, seq, "ToolEnded", False, "{{}}", state=patch)
        assert await store.append(name, 1, [row], False)

asyncio.run(main())
"""


async def test_a_row_and_its_change_are_there_or_not_though_processes_are_killed(
    shared_db: Database, spawn: Spawn
) -> None:
    store, names = await shared_db.store(), ["first", "second", "third"]
    await begin(store, *names)
    processes = [spawn(CHANGE, *address(shared_db)) for _ in names]
    for process, name in zip(processes, names, strict=True):
        assert process.stdin is not None
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
    async with asyncio.timeout(30):
        # Other processes write.
        while min([len(await store.events(name, 0)) for name in names]) < 15:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for process in processes:
        process.kill()
        await asyncio.to_thread(process.wait, 30)
    async with asyncio.timeout(30):
        # What was under way in the database when its client was killed may end later.
        while True:
            rows = {name: len(await store.events(name, 0)) for name in names}
            found = await state(store)
            if found == rows | {"both": ["third", rows["third"]]}:
                return
            await asyncio.sleep(0.1)


async def test_changes_of_many_runs_at_once_lock_nobody_out(shared_db: Database) -> None:
    store = await shared_db.store()
    stores = [store, *[await same(shared_db).store() for _ in range(2)]]
    sessions, keys = [f"s{number}" for number in range(3)], [f"k{number}" for number in range(4)]
    for number, each in enumerate(stores):
        for session in sessions:
            run = new_run(f"{session} {number}", session_id=session, ordered=True)
            await each.submit(run)
            await each.submit(replace(run, run_id=f"{session} {number} parallel", ordered=False))

    async def execute(number: int, each: Store, session: str) -> None:
        for run_id in (f"{session} {number} parallel", f"{session} {number}"):
            while await each.claim(run_id, CLAIM) is None:  # noqa: ASYNC110 # others hold the session
                await asyncio.sleep(0.01)
            for seq in range(1, 6):
                order = keys if (seq + number) % 2 else keys[::-1]
                await each.append(
                    run_id, 1, [row(seq, StatePatch(dict.fromkeys(order, 1)), run_id)], False
                )
            end = replace(
                ending(run_id),
                journal=(row(6, StatePatch(dict.fromkeys(keys[::-1], run_id)), run_id),),
            )
            assert await each.settle(end) is not None

    async with asyncio.timeout(50):
        await asyncio.gather(
            *(
                execute(number, each, name)
                for number, each in enumerate(stores)
                for name in sessions
            )
        )
    for session in sessions:
        last = f"{session} {len(stores) - 1} parallel"
        assert await state(store, session) == dict.fromkeys(keys, last)


async def test_tables_of_the_third_version_are_migrated(
    postgres: EmbeddedPostgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresDb(postgres.url, table, f"old_{table}")
    admin = await asyncpg.connect(postgres.url)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(postgres_schema, "MIGRATIONS", MIGRATIONS[:3])
            await postgres_schema.migrate(admin, database._names)
    finally:
        await admin.close()
    assert (await database.version()).found == 3
    store = await database.store()
    await begin(store)
    await store.append("run", 1, [sets(1, a=1)], False)
    assert await state(store) == {"a": 1}


@pytest.mark.usefixtures("table")  # So that it has no tables yet.
async def test_a_file_of_the_third_version_is_migrated(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, closing(sqlite3.connect(sqlite_db._file.path)) as file:
        patch.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:3])
        sqlite_schema.migrate(file, sqlite_db.session_table)
    assert (await sqlite_db.version()).found == 3
    store = await sqlite_db.store()
    await begin(store)
    await store.append("run", 1, [sets(1, a=1)], False)
    assert await state(store) == {"a": 1}
