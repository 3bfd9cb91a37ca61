"""API keys are found by their secrets, which are nowhere at rest."""

from datetime import UTC, datetime, timedelta

import pytest
from at_rest import at_rest
from stores import execute, seconds_ago

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.keys import PREFIX, hash_of
from kern.db.methods import Methods
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.db.postgres.store import PostgresStore
from kern.errors import InvalidInputError


@pytest.fixture
def keys(db: Database) -> Methods:
    """Each kind of database in turn, as one that has keys."""
    assert isinstance(db, Methods)
    return db


async def test_a_key_is_found_by_its_secret_alone(keys: Methods) -> None:
    key, secret = await keys.acreate_key(
        "alice", name="laptop", scopes=["runs", "approve"], agents=["research"]
    )
    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43
    assert (key.user_id, key.name, key.scopes) == ("alice", "laptop", ("runs", "approve"))
    assert key.agents == ("research",)
    found = await keys.afind_key(secret)
    assert found is not None
    assert found._replace(last_used_at=None) == key
    for wrong in ("", PREFIX, secret[:-1], secret + "x", secret.upper(), hash_of(secret), "\ud800"):
        assert await keys.afind_key(wrong) is None


async def test_a_secret_is_nowhere_at_rest(keys: Methods, store: Store) -> None:
    _, secret = await keys.acreate_key("alice")
    held = await at_rest(store)
    assert secret not in held
    assert secret.removeprefix(PREFIX) not in held
    assert hash_of(secret) in held


async def test_a_revoked_key_opens_nothing(keys: Methods) -> None:
    key, secret = await keys.acreate_key("alice")
    assert await keys.arevoke_key(key.key_id)
    assert await keys.afind_key(secret) is None
    assert not await keys.arevoke_key(key.key_id)
    assert not await keys.arevoke_key("unknown")
    [listed] = await keys.alist_keys()
    assert listed.revoked_at is not None


async def test_an_expired_key_opens_nothing(keys: Methods, store: Store) -> None:
    key, secret = await keys.acreate_key("alice", expires_in=timedelta(hours=1))
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == timedelta(hours=1)
    assert await keys.afind_key(secret) is not None
    past = seconds_ago(store, 1)
    await execute(
        store, f"UPDATE {{keys}} SET expires_at = {past} WHERE key_id = {{1}}", key.key_id
    )
    assert await keys.afind_key(secret) is None
    found = await store.keys.find(hash_of(secret))
    assert found is not None
    assert not found.opens_at(datetime.now(UTC))


async def test_the_use_of_a_key_is_noted_once_a_minute(keys: Methods, store: Store) -> None:
    key, secret = await keys.acreate_key("alice")
    assert key.last_used_at is None
    await keys.afind_key(secret)
    [first] = await keys.alist_keys()
    assert first.last_used_at is not None
    await keys.afind_key(secret)
    await store.keys.touch(key.key_id)
    assert await keys.alist_keys() == [first]
    earlier = seconds_ago(store, 61)
    await execute(store, f"UPDATE {{keys}} SET last_used_at = {earlier}")
    await keys.afind_key(secret)
    [again] = await keys.alist_keys()
    assert again.last_used_at is not None
    assert again.last_used_at >= first.last_used_at


async def test_keys_are_listed_the_last_made_first(keys: Methods) -> None:
    made = [(await keys.acreate_key(user))[0] for user in ("alice", "bob", "alice")]
    assert await keys.alist_keys() == made[::-1]
    assert await keys.alist_keys("alice") == [made[2], made[0]]
    assert await keys.alist_keys("carol") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"user_id": ""}, "user_id must have"),
        ({"scopes": ["run"]}, "no scope 'run'. Did you mean 'runs'?"),
        ({"scopes": "runs"}, "scopes must be a list"),
        ({"scopes": []}, "scopes: there is nothing in it"),
        ({"agents": []}, "agents: there is nothing in it"),
        ({"agents": "research"}, "agents must be a list"),
        ({"expires_in": 0}, "expires_in must be a number of seconds above 0"),
        ({"expires_in": timedelta(seconds=-1)}, "expires_in must be a number of seconds above 0"),
        ({"name": "a\nb"}, "name 'a\\nb' holds a control character"),
    ],
)
async def test_what_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    db = InMemoryDb()
    with pytest.raises(InvalidInputError) as raised:
        await db.acreate_key(**{"user_id": "alice"} | wrong)  # type: ignore[arg-type] # wrong
    assert said in str(raised.value)
    assert await db.alist_keys() == []


def test_synchronous_code_has_keys_too() -> None:
    with InMemoryDb() as db:
        key, secret = db.create_key("alice")
        assert db.find_key(secret) is not None
        assert [each.key_id for each in db.list_keys("alice")] == [key.key_id]
        assert db.revoke_key(key.key_id)
        assert db.find_key(secret) is None


async def test_the_awaited_database_has_keys_too(postgres_db: PostgresDb) -> None:
    async with AsyncPostgresDb(postgres_db._dsn, postgres_db.session_table) as db:
        _, secret = await db.create_key("alice")
        assert await db.find_key(secret) is not None


async def test_a_users_keys_go_with_the_user_and_are_exported_without_their_hash(
    keys: Methods,
) -> None:
    _, secret = await keys.acreate_key("alice")
    _, other = await keys.acreate_key("bob")
    [exported] = [row async for row in keys.aexport_user("alice")]
    assert exported["kind"] == "key"
    assert exported["scopes"] == ["runs"]
    assert "hash" not in exported
    await keys.adelete_user("alice")
    assert await keys.afind_key(secret) is None
    assert await keys.afind_key(other) is not None


async def test_postgres_finds_a_key_by_an_index(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    table = store.names.keys
    await store.pool.execute(
        f"INSERT INTO {table} (key_id, hash, user_id, scopes) "
        "SELECT n::text, 'hash ' || n, 'user ' || n % 100, '[]' FROM generate_series(1, 5000) AS n"
    )
    await store.pool.execute(f"VACUUM ANALYZE {table}")
    for condition in ("hash = 'hash 7'", "user_id = 'user 7' ORDER BY created_at, key_id"):
        plan = await store.pool.fetch(f"EXPLAIN SELECT * FROM {table} WHERE {condition}")
        assert "Index" in str(plan)
        assert "Seq Scan" not in str(plan)
