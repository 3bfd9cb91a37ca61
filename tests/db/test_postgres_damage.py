"""What is broken in PostgreSQL is named, with what to do about it."""

import asyncpg
import pytest

from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres


@pytest.fixture
async def db(postgres: EmbeddedPostgres, table: str) -> PostgresDb:
    """A database with a schema and a queue of its own."""
    db = PostgresDb(postgres.url, db_schema=table)
    await db.store()
    return db


async def damaged(db: PostgresDb, postgres: EmbeddedPostgres, *statements: str) -> list[str]:
    connection = await asyncpg.connect(postgres.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
    return await db.damage()


async def test_sound_tables_are_not_complained_about(db: PostgresDb) -> None:
    assert await db.damage() == []


async def test_a_missing_table_is_named(
    db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    tables = (f"{table}.pgqueuer", f"{table}.kern_sessions_tick")
    found = await damaged(db, postgres, *(f"DROP TABLE {each} CASCADE" for each in tables))
    assert found == [
        f'The table "{table}"."kern_sessions_tick" is missing: restore it from a backup.',
        f'The table "{table}"."pgqueuer" is missing: restore it from a backup.',
    ]


async def test_unlogged_tables_are_named(
    db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    tables = [f"{table}.kern_sessions_blobs", f"{table}.pgqueuer"]
    found = await damaged(db, postgres, *(f"ALTER TABLE {each} SET UNLOGGED" for each in tables))
    assert len(found) == 2
    remedies = [sentence.rpartition("Run ")[2].removesuffix(".") for sentence in found]
    assert remedies == [f"ALTER TABLE {each} SET LOGGED" for each in tables]
    assert await damaged(db, postgres, *remedies) == []


async def test_a_sequence_that_is_behind_is_named(
    db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    found = await damaged(
        db,
        postgres,
        f"INSERT INTO {table}.pgqueuer (priority, entrypoint, status) "
        "SELECT 0, 'kern', 'queued' FROM generate_series(1, 5)",
        f"SELECT setval('{table}.pgqueuer_id_seq', 2)",
    )
    [sentence] = found
    assert sentence.startswith(f"The sequence {table}.pgqueuer_id_seq is behind id of {table}.")
    assert await damaged(db, postgres, sentence.rpartition("Run ")[2].removesuffix(".")) == []


async def test_what_cannot_be_read_is_named(
    db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    connection = await asyncpg.connect(postgres.url)
    powerful = await connection.fetchval("SELECT current_setting('is_superuser')::boolean")
    await connection.close()
    if powerful:
        pytest.skip("a superuser may read everything")
    sequence = f"{table}.pgqueuer_id_seq"
    found = await damaged(db, postgres, f"REVOKE ALL ON SEQUENCE {sequence} FROM CURRENT_USER")
    assert found == [
        f"The sequence {sequence} is not this user's to read: grant it, as to its owner."
    ]


async def test_missing_parts_of_the_queue_are_named(
    db: PostgresDb, postgres: EmbeddedPostgres, table: str
) -> None:
    found = await damaged(
        db,
        postgres,
        f"DROP TRIGGER tg_pgqueuer_changed ON {table}.pgqueuer",
        f"DROP FUNCTION {table}.kern_enqueue",
    )
    assert len(found) == 2
    assert "tg_pgqueuer_changed" in found[0]
    assert "kern_enqueue" in found[1]
    await damaged(db, postgres, found[0].rpartition("Run ")[2].removesuffix("."))
    assert len(await db.damage()) == 1
