"""How the tables in PostgreSQL come to be, and who sees them."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from importlib.abc import MetaPathFinder
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from stores import CLAIM, LEASE, SWARM, Recorder, Spawn, address, ending, execute, new_run, same

from kern.agent import Agent
from kern.db.postgres import PostgresDb, connector
from kern.db.postgres import schema as tables
from kern.db.postgres.migrations import MIGRATIONS
from kern.db.values import Kind, Signal
from kern.errors import SchemaVersionError
from kern.local.postgres import EmbeddedPostgres
from kern.testing import ScriptedModel

SUBMIT = f"""{SWARM}
async def main(number):
    store = await db.store()
    await store.submit(NewRun(number, "session", "agent", None, "{{}}"))

swarm(main)
"""

MOVED = ["CHANNEL", "TRIGGER", "FUNCTION", "QUEUE_TABLE", "QUEUE_TABLE_LOG", "STATISTICS_TABLE"]
MOVED += ["SCHEDULES_TABLE", "QUEUE_STATUS_TYPE", "PREFIX", "SCHEMA", "DB_SCHEMA", "DURABILITY"]


@pytest.fixture
async def admin(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres.url)
    yield connection
    await connection.close()


@pytest.fixture
def new_db(postgres: EmbeddedPostgres, table: str) -> PostgresDb:
    """A database in a schema that does not exist yet."""
    return PostgresDb(postgres.url, table, f"new_{table}")


async def objects(admin: asyncpg.Connection, schema: str) -> list[tuple[str, str]]:
    """Return what there is in a schema, its functions and triggers included."""
    rows = await admin.fetch(
        """
SELECT relkind::text AS kind, relname::text AS name FROM pg_class
    WHERE relnamespace = to_regnamespace($1)
UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = to_regnamespace($1)
UNION ALL SELECT 'type', typname FROM pg_type
    WHERE typnamespace = to_regnamespace($1) AND typtype = 'e'
UNION ALL SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
    WHERE relnamespace = to_regnamespace($1)
ORDER BY kind, name""",
        schema,
    )
    return [(row["kind"], row["name"]) for row in rows]


async def test_a_schema_opened_by_ten_processes_at_once_is_made_once(
    new_db: PostgresDb, spawn: Spawn
) -> None:
    process = spawn(SUBMIT, *address(new_db))
    assert await asyncio.to_thread(process.wait, 30) == 0
    store = await new_db.store()
    assert all([await store.get(str(number)) for number in range(10)])


async def test_a_schema_opened_by_many_at_once_in_one_process_is_made_once(
    new_db: PostgresDb,
) -> None:
    databases = [same(new_db) for _ in range(10)]
    stores = await asyncio.gather(*(database.store() for database in databases))
    answers = await asyncio.gather(*(store.submit(new_run()) for store in stores))
    assert len([answer for answer in answers if answer is not None]) == 1


async def test_many_tables_made_in_a_new_schema_at_once_are_all_made(
    new_db: PostgresDb, postgres: EmbeddedPostgres
) -> None:
    schema = new_db._names.schema
    databases = [PostgresDb(postgres.url, f"t{number}", schema) for number in range(5)]
    stores = await asyncio.gather(*(database.store() for database in databases))
    for store in stores:
        assert await store.submit(new_run()) is not None


async def test_a_half_made_schema_is_not_left_behind(
    new_db: PostgresDb, admin: asyncpg.Connection
) -> None:
    schema, table = new_db._names.schema, new_db.session_table
    await admin.execute(f'CREATE SCHEMA "{schema}" CREATE TABLE "{table}_run_events" ()')
    with pytest.raises(Exception, match="already exists"):
        await new_db.store()
    assert await objects(admin, schema) == [("r", f"{table}_run_events")]
    await admin.execute(f'DROP TABLE "{schema}"."{table}_run_events"')
    assert await (await new_db.store()).get("run") is None


@pytest.mark.parametrize("has_columns", [False, True])
async def test_tables_of_the_first_version_are_migrated(
    new_db: PostgresDb,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    has_columns: bool,
) -> None:
    names = new_db._names
    with monkeypatch.context() as patch:
        patch.setattr(tables, "MIGRATIONS", MIGRATIONS[:1])
        await tables.migrate(admin, names)
    if has_columns:  # As some checkouts made them.
        await admin.execute(
            f"ALTER TABLE {names.runs} ADD COLUMN usage_limits json; ALTER TABLE {names.events} "
            "ADD COLUMN event integer NOT NULL, ADD COLUMN skippable boolean NOT NULL"
        )
    more = (", event, skippable", ", 3, true") if has_columns else ("", "")
    await admin.execute(
        f"INSERT INTO {names.runs} (run_id, session_id, agent_id, status, input, due_at) "
        "VALUES ('run', 'session', 'agent', 'PENDING', '{}', now()); "
        f"INSERT INTO {names.events} (run_id, seq, type, payload{more[0]}) "
        f"VALUES ('run', 2, 'unknown', '{{}}'{more[1]})"
    )
    assert (await new_db.version()).found == 1
    store = await new_db.store()
    version = await new_db.version()
    assert version.found == version.known
    [row] = await store.events("run", 0)
    assert (row.event, row.skippable) == ((3, True) if has_columns else (2, False))
    assert await store.claim("run", CLAIM) is not None
    assert await store.append("run", 1, [replace(row, seq=3, event=4)], False)


async def test_tables_of_this_version_are_migrated_to_the_next(
    new_db: PostgresDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await new_db.store()).submit(new_run())
    added = ("ALTER TABLE {runs} ADD COLUMN colour text NOT NULL DEFAULT 'red'",)
    monkeypatch.setattr(tables, "MIGRATIONS", (*MIGRATIONS, added))
    now = await new_db.version()
    assert now.found is not None
    assert now.known == now.found + 1
    store = await same(new_db).store()
    assert [row["colour"] for row in await execute(store, "SELECT colour FROM {runs}")] == ["red"]
    assert (await new_db.version()).found == now.known
    assert await store.claim("run", CLAIM) is not None


async def test_the_printed_sql_makes_the_same_tables(
    new_db: PostgresDb, postgres: EmbeddedPostgres, admin: asyncpg.Connection
) -> None:
    await new_db.store()
    other = PostgresDb(postgres.url, new_db.session_table, f"{new_db._names.schema}_printed")
    await admin.execute(other.migration_sql())
    made, printed = (db._names.schema for db in (new_db, other))
    assert await objects(admin, printed) == await objects(admin, made)
    assert await other.version() == await new_db.version()
    store = await other.store()
    assert await store.submit(new_run()) is not None
    assert [entry.run_id for entry in await store.queue.dequeue(["agent"], 1)] == ["run"]


async def test_tables_are_made_however_long_the_queues_library_takes_to_load(
    new_db: PostgresDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience, loaded = 1.0, []

    class Slow(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "kern.db.queue_tables":
                loaded.append(name)
                time.sleep(1.5 * patience)

    monkeypatch.setattr(connector, "_LEAST_PATIENCE", patience)
    monkeypatch.delitem(sys.modules, "kern.db.queue_tables", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Slow(), *sys.meta_path])
    quick = PostgresDb(new_db._dsn, new_db.session_table, new_db._names.schema, heartbeat=0.5)
    assert (await (await quick.store()).get("run")) is None
    assert loaded


async def test_newer_tables_are_left_alone(new_db: PostgresDb, admin: asyncpg.Connection) -> None:
    names, newer = new_db._names, same(new_db)
    await new_db.store()
    await admin.execute(f"UPDATE {names.versions} SET version = version + 1")
    before = await objects(admin, names.schema)
    with pytest.raises(SchemaVersionError, match="Upgrade kern") as raised:
        await newer.store()
    assert names.session_table in str(raised.value)
    assert await objects(admin, names.schema) == before

    other = PostgresDb(new_db._dsn, "other", names.schema)
    assert await (await other.store()).get("run") is None, "versions are the tables' own"


async def test_the_environment_moves_nothing_of_the_queue(
    new_db: PostgresDb,
    postgres: EmbeddedPostgres,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await new_db.store()
    expected = await objects(admin, new_db._names.schema)
    assert ("r", "pgqueuer") in expected

    for name in MOVED:
        for spelling in (name, f"PGQUEUER_{name}", name.lower(), f"pgqueuer_{name.lower()}"):
            monkeypatch.setenv(spelling, "volatile" if name == "DURABILITY" else "moved")
    schema = f"{new_db._names.schema}_moved"
    store = await PostgresDb(postgres.url, new_db.session_table, schema).store()
    assert await store.submit(new_run()) is not None
    assert await objects(admin, schema) == expected
    assert await objects(admin, "moved") == []
    unlogged = (
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relpersistence "
        "<> 'p'"
    )
    assert await admin.fetch(unlogged, schema) == [], "a crash would empty them"


async def test_session_tables_of_one_schema_do_not_see_each_other(
    postgres_db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    other_db = PostgresDb(postgres.url, f"{table}_other")
    mine, other = await postgres_db.store(), await other_db.store()
    recorder, others = Recorder(), Recorder()
    await mine.listen(recorder)
    await other.listen(others)

    for store, run_id in ((mine, "run"), (other, "run"), (mine, "mine")):
        assert await store.submit(new_run(run_id)) is not None
    assert await other.get("mine") is None
    assert not await other.cancel("mine")
    claims = [await store.claim("run", CLAIM) for store in (mine, other)]
    assert [claim is not None and claim.attempt for claim in claims] == [1, 1]
    for store in (mine, other):
        await store.watch("run")
    await other.settle(ending())
    assert await mine.cancel("run")
    assert await recorder.gets(Signal(Kind.cancel, "run")) == [Signal(Kind.cancel, "run")]
    assert await others.gets(Signal(Kind.changed, "run")) == [Signal(Kind.changed, "run")]


async def test_session_tables_of_one_schema_share_a_queue_and_no_entry(
    postgres_db: PostgresDb, postgres: EmbeddedPostgres, table: str, admin: asyncpg.Connection
) -> None:
    other_db = PostgresDb(postgres.url, f"{table}_other")
    stores = [await database.store() for database in (postgres_db, other_db)]
    for store in stores:
        await store.submit(new_run(lease=LEASE))
        await store.submit(new_run("child", parent_run_id="run"))
    rows = await admin.fetch(
        f"SELECT entrypoint, convert_from(payload, 'UTF8') AS run_id FROM "
        f"{postgres_db._names.queue} WHERE entrypoint LIKE $1 ORDER BY id",
        f"{table}%",
    )
    assert [tuple(row) for row in rows] == [
        (f"{table}>agent", "child"),
        (f"{table}_other>agent", "child"),
    ]
    for store in stores:
        assert len(await store.queue.dequeue(["agent"], 9)) == 1


async def test_the_advice_on_vacuum_is_taken_by_postgresql(postgres: EmbeddedPostgres) -> None:
    page = Path(__file__).parents[2] / "docs/explanation/scale.md"
    [shown] = re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    async with PostgresDb(postgres.url) as db:
        await db.store()
    owner = await asyncpg.connect(postgres.superuser_url)
    try:
        for statement in shown.strip().split(";\n"):
            await owner.execute(statement)
        set_for = await owner.fetch(
            "SELECT relname FROM pg_class WHERE reloptions::text LIKE '%autovacuum%' ORDER BY 1"
        )
        assert {"kern_sessions_runs", "pgqueuer"} <= {each["relname"] for each in set_for}
    finally:
        await owner.execute("ALTER SYSTEM RESET autovacuum_naptime")
        await owner.close()


async def test_the_grants_of_the_page_are_what_an_application_needs(
    postgres: EmbeddedPostgres, new_db: PostgresDb
) -> None:
    page = Path(__file__).parents[2] / "docs/guides/security.md"
    [shown] = re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    async with new_db:
        await new_db.store()
    schema, table = new_db._names.schema, new_db.session_table
    role = f"app_{schema}"
    owner = await asyncpg.connect(postgres.superuser_url)
    try:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
        grants = shown.replace("SCHEMA kern", f"SCHEMA {schema}").replace("TO app", f"TO {role}")
        await owner.execute(grants)
        url = postgres.url.replace("//ai:ai@", f"//{role}:app@")
        db = PostgresDb(url, table, schema)
        agent = Agent("Poet", ScriptedModel(["Roses."]), db=db)
        run = await agent.arun("A word, please.", background=True)
        ended = await agent.await_run(run.run_id)
        assert ended is not None
        assert ended.content == "Roses."
        await agent.adelete_session(ended.session_id)
        assert await agent.aget_run_output(run.run_id) is None
        await db.aclose()
    finally:
        await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await owner.close()
