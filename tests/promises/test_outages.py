"""Promises 1, 4 and 7 on a database that refuses: full, read-only, strict, crashed, away."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from database_proxy import Proxy, proxy_to, through
from load import all_asked, all_ended, ended, submit
from ports import free_port
from workers import NewWorker

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.errors import DatabaseError
from kern.local.postgres import SYSTEM_USER, EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.cancel import cancel_run
from kern.testing import Reply, ResponsesServer

SETTINGS = {"KERN_HEARTBEAT": "1", "KERN_CONCURRENCY": "10"}
PATIENT = SETTINGS | {"KERN_HEARTBEAT": "2"}
"""Where each step is counted, for a machine that stands still for a second."""


@pytest.fixture
def submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@contextmanager
def a_postgres(**options: str) -> Iterator[EmbeddedPostgres]:
    """Run a server of its own."""
    with tempfile.TemporaryDirectory(prefix="kern-test-") as data:
        server = EmbeddedPostgres(Path(data), free_port(), options={"fsync": "off"} | options)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that is stopped and set otherwise."""
    with a_postgres() as server:
        yield server


@asynccontextmanager
async def admin_of(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect as who may do everything."""
    connection = await asyncpg.connect(postgres.superuser_url)
    try:
        yield connection
    finally:
        await connection.close()


def turns(body: dict[str, Any]) -> Reply:
    """Have a tool called twice, then answer."""
    done = sum(each.get("type") == "function_call_output" for each in body["input"])
    if done == 2:
        return Reply.text("Done.").slow(0.1)
    return Reply.tool_calls(("work", {"step": f"step {done}"})).slow(0.1)


def assert_done_once(ledger: Path, names: list[str], server: ResponsesServer) -> None:
    """See that no tool call and no model call was made twice."""
    wanted = Counter(f"{name} step {step}" for name in names for step in (0, 1))
    assert Counter(ledger.read_text().splitlines()) == wanted
    assert Counter(all_asked(server.requests)) == Counter(dict.fromkeys(names, 3))


@pytest.mark.usefixtures("submit_only")
async def test_a_database_whose_default_is_serializable_fails_no_run(
    own_postgres: EmbeddedPostgres,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    server.default = turns
    ledger = tmp_path / "ledger"
    async with admin_of(own_postgres) as admin:
        await admin.execute("ALTER DATABASE ai SET default_transaction_isolation = serializable")
    try:
        db = PostgresDb(own_postgres.url, table)
        agent = Agent("Tester", model, db=db)
        options: dict[str, Any] = {"tools": ("work",), "TEST_LEDGER": str(ledger), **PATIENT}
        for worker in [new_worker(db, **options) for _ in range(2)]:
            await worker.ready()
        names = [f"run-{number}" for number in range(40)]
        await asyncio.gather(
            *(submit(agent, [name], f"s{number % 20}") for number, name in enumerate(names))
        )
        runs = await all_ended(agent, names, 40)
        assert Counter(run.error for run in runs) == Counter({None: len(names)})
        assert_done_once(ledger, names, server)
    finally:
        async with admin_of(own_postgres) as admin:
            await admin.execute("ALTER DATABASE ai RESET default_transaction_isolation")


@pytest.mark.usefixtures("submit_only")
async def test_a_database_that_is_read_only_for_a_while_costs_no_step(
    own_postgres: EmbeddedPostgres,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    server.default = turns
    ledger = tmp_path / "ledger"
    db = PostgresDb(own_postgres.url, table)
    agent = Agent("Tester", model, db=db)
    options: dict[str, Any] = {"tools": ("work",), "TEST_LEDGER": str(ledger), **PATIENT}
    for worker in [new_worker(db, **options) for _ in range(2)]:
        await worker.ready()
    names = [f"run-{number}" for number in range(30)]
    await asyncio.gather(*(submit(agent, [name]) for name in names))
    await server.wait_for_requests(15)
    async with admin_of(own_postgres) as admin:
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(2)
        await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await admin.execute("SELECT pg_reload_conf()")
    runs = await all_ended(agent, names, 40)
    assert Counter((run.status, run.error) for run in runs) == Counter(
        {(RunStatus.completed, None): len(names)}
    )
    assert_done_once(ledger, names, server)


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a disk of 24 MB; skip where that is not allowed."""
    directory = Path(tempfile.mkdtemp(prefix="kern-test-"))
    mounting = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True).returncode != 0:
        directory.rmdir()
        pytest.skip("a small disk can be mounted by root only")
    try:
        shutil.chown(directory, SYSTEM_USER)
        directory.chmod(0o700)
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


@pytest.mark.usefixtures("submit_only")
async def test_a_disk_that_is_full_for_a_while_fails_no_run(
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    server.default = turns
    ledger = tmp_path / "ledger"
    with small_disk() as disk, a_postgres() as postgres:
        async with admin_of(postgres) as admin:
            await admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            await admin.execute("GRANT CREATE ON TABLESPACE small TO ai")
            await admin.execute("ALTER DATABASE ai SET default_tablespace = small")
        db = PostgresDb(postgres.url, table)
        agent = Agent("Tester", model, db=db)
        options: dict[str, Any] = {"tools": ("work",), "TEST_LEDGER": str(ledger), **PATIENT}
        for worker in [new_worker(db, **options) for _ in range(2)]:
            await worker.ready()
        names = [f"run-{number}" for number in range(40)]
        # What they say fills the pages that there are.
        await asyncio.gather(
            *(submit(agent, [name], metadata={"kept": os.urandom(3000).hex()}) for name in names)
        )
        await server.wait_for_requests(15)
        ballast = disk / "ballast"
        with ballast.open("wb") as file:
            try:
                while file.write(bytes(1 << 16)):
                    file.flush()
            except OSError:
                pass
        await asyncio.sleep(2)
        ballast.unlink()
        runs = await all_ended(agent, names, 40)
        assert Counter(run.error for run in runs) == Counter({None: len(names)})
        assert_done_once(ledger, names, server)


async def lose_entries(admin: asyncpg.Connection, db: PostgresDb) -> str:
    """Forget what the queue has of the runs of a database."""
    return await admin.execute(
        f"DELETE FROM {db._names.queue} WHERE starts_with(dedupe_key, $1)", f"{db.session_table}/"
    )


@pytest.mark.usefixtures("submit_only")
async def test_a_run_whose_entry_in_the_queue_is_lost_begins_all_the_same(
    own_postgres: EmbeddedPostgres,
    table: str,
    model: OpenAIResponses,
    new_worker: NewWorker,
) -> None:
    db = PostgresDb(own_postgres.url, table)
    agent = Agent("Tester", model, db=db)
    names = [f"run-{number}" for number in range(10)]
    await submit(agent, names)
    async with admin_of(own_postgres) as admin:
        assert await lose_entries(admin, db) == "DELETE 10"
        # They have been due for longer than an entry may take.
        await admin.execute(f"UPDATE {db._names.runs} SET due_at = due_at - interval '31 seconds'")
    await new_worker(db, **SETTINGS).ready()
    assert {run.status for run in await all_ended(agent, names, 25)} == {RunStatus.completed}


@pytest.mark.usefixtures("submit_only")
async def test_a_run_whose_executor_and_entry_are_lost_together_goes_on(
    own_postgres: EmbeddedPostgres,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
) -> None:
    server.script += [Reply.hang() for _ in range(5)]
    db = PostgresDb(own_postgres.url, table)
    agent = Agent("Tester", model, db=db)
    lost = await new_worker(db, **SETTINGS).ready()
    names = [f"run-{number}" for number in range(5)]
    await submit(agent, names)
    await server.wait_for_requests(5)
    lost.send(signal.SIGKILL)
    async with admin_of(own_postgres) as admin:
        await lose_entries(admin, db)
    await new_worker(db, **SETTINGS).ready()
    assert {run.status for run in await all_ended(agent, names, 25)} == {RunStatus.completed}


@pytest.mark.usefixtures("submit_only")
async def test_what_was_accepted_begins_after_a_crash_of_the_database(
    own_postgres: EmbeddedPostgres, table: str, model: OpenAIResponses, new_worker: NewWorker
) -> None:
    db = PostgresDb(own_postgres.url, table)
    agent = Agent("Tester", model, db=db)
    names = [f"run-{number}" for number in range(10)]
    await submit(agent, names)
    await asyncio.to_thread(own_postgres.stop, "immediate")
    await asyncio.to_thread(own_postgres.start)
    await new_worker(db, **SETTINGS).ready()
    # Well before the sweep enqueues anew what has waited for long.
    assert {run.status for run in await all_ended(agent, names, 25)} == {RunStatus.completed}


async def test_nothing_that_is_needed_is_unlogged(postgres_db: PostgresDb) -> None:
    await postgres_db.store()
    connection = await asyncpg.connect(postgres_db._dsn)
    try:
        rows = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relpersistence <> 'p'",
            postgres_db._names.schema,
        )
    finally:
        await connection.close()
    assert [row["relname"] for row in rows] == []


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    with proxy_to(postgres) as running:
        yield running


@pytest.mark.usefixtures("submit_only")
@pytest.mark.parametrize("how", ["frozen", "cut"])
async def test_a_cancel_that_cannot_be_stored_is_stored_later_or_raises(
    proxy: Proxy,
    table: str,
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    how: str,
) -> None:
    server.default = Reply.hang()
    await new_worker(postgres_db, KERN_HEARTBEAT="1").ready()
    agent = Agent("Tester", model, db=through(proxy, table))
    await submit(agent, ["run"])
    await server.wait_for_requests(1)
    (proxy.freeze if how == "frozen" else proxy.cut)()
    raised = False
    try:
        await asyncio.to_thread(cancel_run, "run")
    except DatabaseError:
        raised = True
    await asyncio.sleep(1)
    (proxy.thaw if how == "frozen" else proxy.mend)()
    if not raised:
        # Who looked with a database of this process would have it told of the cancel.
        await server.wait_for_disconnects(1)


@pytest.mark.usefixtures("submit_only")
async def test_the_cancel_of_an_agent_without_its_database_raises_and_is_stored_later(
    proxy: Proxy,
    table: str,
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
) -> None:
    server.default = Reply.hang()
    await new_worker(postgres_db, KERN_HEARTBEAT="1").ready()
    agent = Agent("Tester", model, db=through(proxy, table))
    await submit(agent, ["run"])
    await server.wait_for_requests(1)
    proxy.cut()
    with pytest.raises(DatabaseError):
        await agent.acancel_run("run")
    proxy.mend()
    await server.wait_for_disconnects(1)
    assert (await ended(agent, "run")).status is RunStatus.cancelled
