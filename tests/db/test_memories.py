"""Memories of users, in each kind of database: found by their words, and by nobody else."""

import asyncio
import json
from dataclasses import replace
from typing import Any, Literal

import pytest
from stores import CLAIM, new_run

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.memories import Memories
from kern.db.methods import Methods
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.db.postgres.memories import conditions
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.memories import Remembering
from kern.db.sqlite.store import SqliteStore
from kern.errors import InvalidInputError
from kern.memory import UserMemory
from kern.memory.changes import MemoryChange, MemoryChanges, MemoryFilter
from kern.memory.words import topic_word, words_of
from kern.run.record import JournalRow


@pytest.fixture
def kept(db: Database) -> Methods:
    """Each kind of database in turn, as one that has memories."""
    assert isinstance(db, Methods)
    return db


@pytest.fixture
def memories(store: Store) -> Memories:
    """Those of each kind of database in turn."""
    return store.memories


async def texts(db: Methods, **wanted: Any) -> list[str]:
    return [each.memory for each in await db.aget_user_memories(**wanted)]


async def add(db: Methods, user: str, *given: str, **more: Any) -> list[UserMemory]:
    return [await db.aupsert_user_memory(UserMemory(each, user_id=user, **more)) for each in given]


async def test_a_memory_comes_back_as_it_was_kept(kept: Methods) -> None:
    given = UserMemory(
        "Plays «Go».\nEvery day…",
        topics=["games", "Go"],
        user_id="ada",
        input="I play",
        agent_id="a",
    )
    stored = await kept.aupsert_user_memory(given)
    assert stored.memory_id
    assert stored.created_at == stored.updated_at
    assert replace(stored, memory_id=None, created_at=None, updated_at=None) == given
    assert await kept.aget_user_memory(stored.memory_id) == stored
    assert await kept.aget_user_memories("ada") == [stored]
    changed = await kept.aupsert_user_memory(replace(stored, memory="Plays chess.", feedback="Yes"))
    assert (changed.memory, changed.feedback, changed.created_at) == (
        "Plays chess.",
        "Yes",
        stored.created_at,
    )
    assert await texts(kept, search_content="go games") == ["Plays chess."], "its topics stay"
    assert await texts(kept, search_content="day") == []


async def test_memories_are_found_by_words_however_they_are_written(kept: Methods) -> None:
    await add(kept, "ada", "Loves crème brûlée", "Drinks TEA, no coffee.", "お茶が好き", "नमस्ते")
    assert await texts(kept, search_content="CREME brul") == ["Loves crème brûlée"]
    assert await texts(kept, search_content="coffee tea") == ["Drinks TEA, no coffee."]
    assert await texts(kept, search_content="茶") == ["お茶が好き"]
    assert await texts(kept, search_content="नमस्ते") == ["नमस्ते"]
    for nothing in ("ea", "tea milk", "'", "!", "a'b:* | c", "\\", "& |", "tea' OR 1=1 --"):
        assert await texts(kept, search_content=nothing) == [], nothing


async def test_memories_are_narrowed_sorted_and_paged(kept: Methods) -> None:
    await add(kept, "ada", "One", topics=["Street Food"], agent_id="x")
    await add(kept, "ada", "Two", topics=["it's", "food"], agent_id="y")
    await add(kept, "bob", "Three", topics=["food"])
    assert await texts(kept, user_id="ada") == ["Two", "One"]
    assert await texts(kept, user_id="ada", sort_order="asc") == ["One", "Two"]
    assert await texts(kept, limit=1, page=2) == ["Two"]
    assert await texts(kept, topics=["street  food"]) == ["One"]
    assert await texts(kept, user_id="ada", topics=["FOOD", "none"]) == ["Two"]
    assert await texts(kept, topics=["it's", "street food"], search_content="one") == ["One"]
    assert await texts(kept, agent_id="x") == ["One"]
    found, total = await kept.aget_user_memories("ada", limit=1, deserialize=False)
    assert isinstance(found, list)
    assert [found[0]["memory"], total] == ["Two", 2]
    assert await kept.aget_all_memory_topics("ada") == ["Street Food", "food", "it's"]
    assert await kept.aget_all_memory_topics() == ["Street Food", "food", "it's"]
    stats, users = await kept.aget_user_memory_stats(limit=1)
    assert ([each["user_id"] for each in stats], users) == (["bob"], 2)
    assert (await kept.aget_user_memory_stats(user_id="ada"))[0][0]["total_memories"] == 2


async def test_a_search_for_too_much_is_refused_before_it_keeps_the_database(
    kept: Methods,
) -> None:
    await add(kept, "ada", "Drinks tea", topics=["drinks"])
    many = [f"tea{each}" for each in range(40_000)]
    for wanted in ({"search_content": " ".join(many)}, {"topics": many}):
        with pytest.raises(InvalidInputError, match=r"at most 100 (words|topics)"):
            await texts(kept, **wanted)
    assert await texts(kept, search_content=" ".join(["tea"] * 40_000)) == ["Drinks tea"]
    assert await texts(kept, topics=["drinks", *many[:99]]) == ["Drinks tea"]
    assert await texts(kept, search_content=" ".join(many[:100])) == []


async def test_a_user_meets_no_memory_of_another(kept: Methods) -> None:
    [hers] = await add(kept, "ada", "Her secret", topics=["secret"])
    assert hers.memory_id is not None
    assert await texts(kept, user_id="bob", search_content="secret") == []
    assert await texts(kept, user_id="bob", topics=["secret"]) == []
    assert await kept.aget_user_memory(hers.memory_id, "bob") is None
    assert not await kept.adelete_user_memory(hers.memory_id, "bob")
    assert await kept.aclear_memories("bob") == 0
    with pytest.raises(InvalidInputError, match="is in use"):
        await kept.aupsert_user_memory(UserMemory("His", hers.memory_id, user_id="bob"))
    assert await texts(kept, user_id="ada") == ["Her secret"]
    # The words by which the index knows a user are no way to another's memories.
    await add(kept, "eve", "@ada ada", topics=["@ada"])
    assert await texts(kept, user_id="ada", search_content="ada") == []


async def test_what_is_deleted_is_found_by_nothing(kept: Methods, store: Store) -> None:
    one, two, three = await add(kept, "ada", "Tea one", "Tea two", "Tea three")
    assert one.memory_id is not None
    assert await kept.adelete_user_memory(one.memory_id, "ada")
    assert not await kept.adelete_user_memory(one.memory_id)
    ids = [each.memory_id or "" for each in (two, three)]
    assert await kept.adelete_user_memories([*ids, "unknown"]) == 2
    assert await texts(kept, search_content="tea") == []
    await add(kept, "ada", "Tea")
    await add(kept, "bob", "Tea")
    assert await kept.aclear_memories("ada") == 1
    assert await texts(kept, search_content="tea") == ["Tea"]
    assert await kept.aclear_memories() == 1
    if isinstance(store, SqliteStore):
        table = store._file.tables.memory_words

        def left(transaction: Transaction) -> int:
            return len(transaction.execute(f"SELECT * FROM {table}").fetchall())

        assert await store._file.read(left) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (UserMemory(" "), "needs a text"),
        (UserMemory("x" * 10_001), "at most 10,000 characters"),
        (UserMemory("x", topics=["x"] * 21), "at most 20 topics"),
        (UserMemory("x", topics="x"), "topics of a memory are a list"),  # type: ignore[arg-type] # wrong
        (UserMemory(7), "The memory of a memory is a text"),  # type: ignore[arg-type] # wrong
        (UserMemory("x", ""), "memory_id must have"),
        (UserMemory("x", user_id="a\nb"), "control character"),
        ({"topics": []}, "A memory is a dict with its text"),
        ("x", "Pass a UserMemory"),
    ],
)
async def test_what_is_no_memory_is_refused(wrong: UserMemory, said: str) -> None:
    db = InMemoryDb()
    with pytest.raises(InvalidInputError, match=said):
        await db.aupsert_user_memory(wrong)
    assert await db.aget_user_memories() == []


async def test_no_text_is_too_strange_to_be_kept(kept: Methods) -> None:
    stored = await kept.aupsert_user_memory(
        {"memory": "a\x00b\ud800 \ufdfa", "topics": ["\ufdfa" * 200, "\x00", " "], "user_id": "ö"}
    )
    assert stored.memory == "a\ufffdb\ufffd \ufdfa"
    assert await texts(kept, user_id="ö", search_content="b") == [stored.memory]
    assert await texts(kept, search_content="\x00\ud800") == []


async def test_changes_are_made_together_and_to_one_user_only(
    kept: Methods, memories: Memories
) -> None:
    [one, two] = await add(kept, "ada", "One", "Two")
    [his] = await add(kept, "bob", "His")
    ids = [each.memory_id or "" for each in (one, two, his)]
    await memories.apply(
        MemoryChanges(
            "ada",
            [
                MemoryChange("add", "new", "Three", ("numbers",)),
                MemoryChange("update", ids[0], "One more", (), one.updated_at, "other"),
                MemoryChange("delete", ids[1]),
                MemoryChange("update", ids[2], "Hers", (), None, "another"),
                MemoryChange("delete", ids[2]),
                MemoryChange("update", "gone", "Nothing", (), 1.0, "yet another"),
                MemoryChange("add", ids[2], "Stolen"),
            ],
            "agent",
            "run",
            "said",
        )
    )
    assert await texts(kept, user_id="ada", sort_order="asc") == ["Three", "One more"]
    assert await texts(kept, user_id="bob") == ["His"]
    new = await kept.aget_user_memory("new")
    assert new is not None
    assert (new.input, new.agent_id, new.topics) == ("said", "agent", ["numbers"])
    assert await texts(kept, search_content="more") == ["One more"]
    await memories.apply(MemoryChanges("ada", [MemoryChange("clear")]))
    assert await texts(kept) == ["His"]


async def test_what_two_learn_at_once_is_both_kept(kept: Methods, memories: Memories) -> None:
    [tea] = await add(kept, "ada", "Drinks tea")
    id = tea.memory_id or ""
    for place, text in enumerate(("Drinks tea and milk", "Drinks tea at five")):
        change = MemoryChange("update", id, text, (), tea.updated_at, f"other {place}")
        await memories.apply(MemoryChanges("ada", [change]))
    assert await texts(kept, user_id="ada", sort_order="asc") == [
        "Drinks tea and milk",
        "Drinks tea at five",
    ]


@pytest.mark.parametrize("last", ["update", "clear"])
async def test_changes_of_two_at_once_wait_for_each_other(
    postgres_db: PostgresDb, last: Literal["update", "clear"]
) -> None:
    for id in ("1", "2", "3"):
        await postgres_db.aupsert_user_memory(UserMemory(id, id, user_id="ada"))
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    locking = f"SELECT FROM {store.names.memories} WHERE memory_id = $1 FOR UPDATE"
    changes = [MemoryChange("update", id, "new") for id in ("3", "2")]
    made = MemoryChanges("ada", [*changes, MemoryChange(last, "1", "new")])
    async with store.pool.acquire() as other, other.transaction():
        await other.execute(locking, "1")
        own = asyncio.create_task(store.memories.apply(made))
        async with asyncio.timeout(20):
            waits = "SELECT $1 = ANY(pg_blocking_pids(pid)) FROM pg_stat_activity"
            pid = other.get_server_pid()
            while not any(row[0] for row in await store.pool.fetch(waits, pid)):  # noqa: ASYNC110 # it says nothing
                await asyncio.sleep(0.01)
        for id in ("2", "3"):
            await other.execute(locking, id)
    await own
    found = [each.memory for each in await postgres_db.aget_user_memories()]
    assert found == (["new"] * 3 if last == "update" else [])


async def test_changes_are_written_with_their_row_once_and_by_no_stale_attempt(
    kept: Methods, store: Store
) -> None:
    await store.submit(new_run("run", user_id="ada"))
    record = await store.claim("run", CLAIM)
    assert record is not None
    seq = record.last_seq + 1
    rows = [
        JournalRow("run", seq, seq, "A", True, "{}"),
        JournalRow("run", seq + 1, seq, "B", True, "{}"),
    ]
    changes = {seq: MemoryChanges("ada", [MemoryChange("add", "new", "Tea")])}
    stale = record.attempt - 1
    assert await store.memories.append("run", stale, rows, False, changes) is None
    assert await texts(kept) == []
    for _ in range(2):
        assert await store.memories.append("run", record.attempt, rows, True, changes) is not None
        assert await texts(kept) == ["Tea"]
    await kept.adelete_user_memory("new")
    assert await store.memories.append("run", record.attempt, rows, True, changes) is not None
    assert await texts(kept) == [], "what was forgotten does not come back"
    assert [each.seq for each in await store.events("run", 0)] == [seq, seq + 1]


async def test_a_users_memories_go_with_the_user_and_are_exported(kept: Methods) -> None:
    [hers] = await add(kept, "ada", "Drinks tea", topics=["drinks"])
    await add(kept, "bob", "Drinks tea")
    [exported] = [row async for row in kept.aexport_user("ada")]
    assert (exported["kind"], exported["memory"], exported["topics"]) == (
        "memory",
        "Drinks tea",
        ["drinks"],
    )
    assert exported["memory_id"] == hers.memory_id
    assert "words" not in exported
    assert json.dumps(exported)
    assert (await kept.adelete_user("ada")).memories == 1
    assert [each.user_id for each in await kept.aget_user_memories(search_content="tea")] == ["bob"]


def test_synchronous_code_has_memories_too() -> None:
    with InMemoryDb() as db:
        stored = db.upsert_user_memory(UserMemory("Tea"))
        assert stored.user_id == "default"
        assert db.get_user_memories() == [stored]
        assert db.clear_memories() == 1


async def test_the_awaited_database_has_memories_too(postgres_db: PostgresDb) -> None:
    async with AsyncPostgresDb(postgres_db._dsn, postgres_db.session_table) as db:
        stored = await db.upsert_user_memory(UserMemory("Tea"))
        assert await db.get_user_memories(search_content="tea") == [stored]


SEARCHES = {
    "a user's": MemoryFilter("user 7"),
    "a user's with words": MemoryFilter("user 7", words=words_of("likes number")),
    "a user's with a beginning": MemoryFilter("user 7", words=("like",)),
    "a user's of a topic": MemoryFilter("user 7", topics=(topic_word("all"),)),
    "anybody's": MemoryFilter(),
    "anybody's with a rare word": MemoryFilter(words=("n4711",)),
}


async def test_postgres_reads_few_pages_for_any_search(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    table = store.names.memories
    await store.pool.execute(
        f"INSERT INTO {table} (memory_id, user_id, memory, topics, words, run_id, updated_at) "
        "SELECT n::text, 'user ' || n % 2000, 'Likes number ' || n, '[\"all\"]', "
        "array_to_tsvector(ARRAY['@user ' || n % 2000, 'likes', 'number', 'n' || n, '#all']), "
        "'run ' || n, now() - make_interval(secs => 40000 - n) FROM generate_series(1, 40000) AS n"
    )
    await store.pool.execute(f"VACUUM ANALYZE {table}")
    expensive = {}
    for name, wanted in SEARCHES.items():
        where, values = conditions(wanted)
        statement = (
            f"SELECT * FROM {table}{where} ORDER BY updated_at DESC, memory_id DESC LIMIT 20"
        )
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        [plan] = json.loads(await store.pool.fetchval(explained, *values))
        pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        if pages > 120:
            expensive[name] = pages
    assert expensive == {}
    plan = await store.pool.fetch(f"EXPLAIN DELETE FROM {table} WHERE run_id = 'run 7'")
    assert "Seq Scan" not in str(plan)


async def test_sqlite_finds_memories_by_indexes(sqlite_db: SqliteDb) -> None:
    store = await sqlite_db.store()
    assert isinstance(store, SqliteStore)
    operations = Remembering(store._file.tables)
    table = store._file.tables.memories

    def plans(transaction: Transaction) -> dict[str, str]:
        found = {}
        for name, wanted in SEARCHES.items():
            where, values = operations.conditions(wanted)
            statement = f"SELECT * FROM {table}{where} ORDER BY updated_at DESC, memory_id DESC"
            steps = transaction.execute(f"EXPLAIN QUERY PLAN {statement}", **values).fetchall()
            found[name] = "; ".join(each["detail"] for each in steps)
        return found

    scanned = {
        name: plan
        for name, plan in (await store._file.read(plans)).items()
        if "SCAN" in plan and name != "anybody's"
    }
    assert scanned == {}
