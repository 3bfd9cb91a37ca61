"""What ``kern db migrate``, ``status`` and ``prune`` do with the tables of a database."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import asyncpg
import pytest
from command import invoked, options_of
from elsewhere import environment_of
from stores import CLAIM, ending, execute, new_run
from typer.testing import CliRunner

from kern.cli.main import app
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres import schema as postgres_schema
from kern.db.postgres.migrations import MIGRATIONS
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import schema as sqlite_schema


def kern(db: Database, *command: str) -> tuple[int, str]:
    return invoked(options_of(db), "db", *command)


def said(db: Database, *command: str) -> str:
    exit_code, output = kern(db, *command)
    assert exit_code == 0, output
    return output


def prepare(db: Database, work: Callable[[Store], Awaitable[object]]) -> None:
    async def main() -> None:
        await work(await db.store())

    asyncio.run(main())


async def nothing(store: Store) -> None:
    """Only open it, which makes the tables."""


async def outdate(store: Store) -> None:
    """Have the tables come from a version after this one."""
    versions, table = "kern_versions", "%"
    if isinstance(store, PostgresStore):
        versions, table = store.names.versions, store.names.session_table
    statement = f"UPDATE {versions} SET version = version + 1 WHERE name LIKE {{1}}"
    await execute(store, statement, table)


def test_tables_are_made_once(shared_db: Database) -> None:
    exit_code, shown = kern(shared_db, "status")
    assert exit_code == 3
    assert "make them with kern db migrate" in shown
    known = json.loads(kern(shared_db, "status", "--json")[1])["known"]
    assert json.loads(kern(shared_db, "status", "--json")[1])["tables"] is None

    assert said(shared_db, "migrate").endswith(f"are made, version {known}\n")
    assert said(shared_db, "migrate").endswith(f"have version {known} already\n")
    assert json.loads(said(shared_db, "migrate", "--json")) == {"from": known, "to": known}
    assert f"version {known}" in said(shared_db, "status")


def test_older_tables_are_brought_up_to_date(
    shared_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(shared_db, "migrate")
    add_a_version(monkeypatch)
    exit_code, shown = kern(shared_db, "status")
    assert exit_code == 3
    told = json.loads(kern(shared_db, "status", "--json")[1])
    assert (told["tables"], told["state"]) == (told["known"] - 1, "old")
    assert f"version {told['tables']}: version {told['known']} is due" in shown
    shown = said(shared_db, "migrate")
    assert shown.endswith(f"are brought from version {told['tables']} to {told['known']}\n")
    said(shared_db, "status")
    prepare(shared_db, made_up)


def add_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this kern know a made-up version of the tables after the newest."""
    known = MIGRATIONS
    added = ("ALTER TABLE {runs} ADD COLUMN made_up text",)
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", (*known, added))
    script = 'ALTER TABLE "{table}_runs" ADD COLUMN made_up TEXT'
    scripts = (*sqlite_schema.MIGRATIONS, script)
    for module in ("schema", "file"):
        monkeypatch.setattr(f"kern.db.sqlite.{module}.MIGRATIONS", scripts)


async def made_up(store: Store) -> None:
    """Find the column of the made-up version."""
    assert await execute(store, "SELECT made_up FROM {runs}") == []


def test_the_tables_can_be_made_by_hand(shared_db: Database) -> None:
    schema = f"by_hand_{shared_db.session_table}"
    script = said(shared_db, "migrate", "--sql", "--schema", schema)
    exit_code, shown = kern(shared_db, "status", "--schema", schema)
    assert (exit_code, "make them with kern db migrate" in shown) == (3, True)
    asyncio.run(send(shared_db, script))
    assert said(shared_db, "migrate", "--schema", schema).endswith("already\n")
    status = json.loads(said(shared_db, "status", "--json", "--schema", schema))
    assert (status["state"], status["damage"]) == ("current", [])


async def send(db: Database, script: str) -> None:
    """Have the database do what an administrator would."""
    where = environment_of(db, "")["TEST_DB"]
    if isinstance(db, PostgresDb):
        connection = await asyncpg.connect(where)
        await connection.execute(script)
        await connection.close()
    else:
        with closing(sqlite3.connect(where)) as file:
            file.executescript(script)


def test_damage_is_named_with_what_to_do(postgres_db: PostgresDb) -> None:
    schema = f"damaged_{postgres_db.session_table}"
    said(postgres_db, "migrate", "--schema", schema)
    asyncio.run(send(postgres_db, f"ALTER TABLE {schema}.pgqueuer SET UNLOGGED"))
    exit_code, shown = kern(postgres_db, "status", "--schema", schema)
    assert exit_code == 5
    assert f"Run ALTER TABLE {schema}.pgqueuer SET LOGGED." in " ".join(shown.split())
    [sentence] = json.loads(kern(postgres_db, "status", "--json", "--schema", schema)[1])["damage"]
    assert sentence.startswith(f"The table {schema}.pgqueuer is unlogged")


def test_newer_tables_are_left_alone(shared_db: Database) -> None:
    prepare(shared_db, nothing)
    prepare(shared_db, outdate)
    exit_code, shown = kern(shared_db, "status")
    assert exit_code == 4
    assert "upgrade kern" in shown
    exit_code, shown = kern(shared_db, "migrate")
    assert exit_code == 1
    assert "Upgrade kern" in shown


def test_the_status_counts_what_has_not_ended(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        for run_id in ("a", "b", "c"):
            await store.submit(new_run(run_id, session_id="one", ordered=True))
        await store.claim("a", CLAIM)

    prepare(shared_db, work)
    assert "1 running, 0 due, 2 waiting for another run, 0 delayed" in said(shared_db, "status")
    runs = json.loads(said(shared_db, "status", "--json"))["runs"]
    assert (runs["running"], runs["waiting"]) == (1, 2)


def test_runs_are_pruned_or_only_counted(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        for run_id in ("ended", "cancelled", "live"):
            await store.submit(new_run(run_id, session_id=run_id))
        await store.claim("ended", CLAIM)
        await store.settle(ending("ended"))
        await store.cancel("cancelled")

    prepare(shared_db, work)
    assert said(shared_db, "prune", "--older-than", "1h") == "0 runs deleted\n"
    assert (
        said(shared_db, "prune", "--older-than", "0s", "--dry-run") == "2 runs would be deleted\n"
    )
    assert said(shared_db, "prune", "--older-than", "0s") == "2 runs deleted\n"
    assert said(shared_db, "prune", "--older-than", "0s") == "0 runs deleted\n"
    exit_code, shown = kern(shared_db, "prune", "--older-than", "soon")
    assert (exit_code, shown.count("\n")) == (1, 1)

    async def only_one_is_left(store: Store) -> None:
        assert await execute(store, "SELECT run_id FROM {runs}") == [{"run_id": "live"}]

    prepare(shared_db, only_one_is_left)


def test_without_a_database_there_is_no_json() -> None:
    shown = CliRunner().invoke(app, ["db", "status", "--json"])
    assert shown.exit_code == 1
    assert "Set KERN_DB_URL or give --db" in shown.output
