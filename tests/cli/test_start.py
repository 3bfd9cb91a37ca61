"""How ``kern worker`` starts: it waits for its database, and a signal ends it in good order."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import asyncpg
import psutil
import pytest
from elsewhere import environment_of
from worker_command import StartWorker, WorkerCommand

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import DatabaseUnavailableError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses

JSON = ("--log", "json")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def missing_db(unused_tcp_port: int) -> PostgresDb:
    """A database that is not up yet."""
    return PostgresDb(f"postgresql://ai:ai@127.0.0.1:{unused_tcp_port}/ai")


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory that the user of PostgreSQL may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="kern-test-") as path:
        yield Path(path)


async def test_it_waits_for_a_database_that_is_not_up_yet_and_says_so_once(
    unused_tcp_port: int, start: StartWorker, data: Path
) -> None:
    server = EmbeddedPostgres(data, port=unused_tcp_port, options={"fsync": "off"})
    db, counts = PostgresDb(server.url), (1, 2)
    workers = [start(db, *JSON, "--processes", str(count), "--port", "0") for count in counts]
    for worker, count in zip(workers, counts, strict=True):
        await worker.told(level="warning", logger="kern", times=count)
        with pytest.raises(HTTPError) as refused:
            await asyncio.to_thread(urlopen, worker.url + "/readyz", timeout=10)
        with refused.value as answer:
            assert json.loads(answer.read())["reason"] == "the database is away"
    server.start()
    try:
        for worker, count in zip(workers, counts, strict=True):
            await worker.told("ready", times=count)
            worker.send(signal.SIGTERM)
            assert await worker.ended() == 0
    finally:
        server.stop("immediate")
    for worker, count in zip(workers, counts, strict=True):
        said = [line["message"] for line in worker.lines if line.get("level") == "warning"]
        assert len(said) == count
        assert str(unused_tcp_port) in str(said[0])
        assert [line for line in worker.lines if line.get("event") == "restarting"] == []


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_it_waits_no_longer_than_it_is_told(
    missing_db: PostgresDb, start: StartWorker, processes: str
) -> None:
    worker = start(missing_db, *JSON, "--processes", processes, "--database-wait", "0.3")
    assert await worker.ended() == 1
    await worker.told(level="warning", logger="kern")
    assert [line for line in worker.lines if line.get("event") == "restarting"] == []
    [error] = [line for line in worker.errors.splitlines() if line.startswith("Error: ")]
    assert "cannot be reached" in error
    assert "Traceback" not in worker.errors


async def test_without_a_wait_it_gives_up_at_once(
    missing_db: PostgresDb, start: StartWorker, model: OpenAIResponses
) -> None:
    worker = start(missing_db, *JSON, "--database-wait", "0")
    assert await worker.ended() == 1
    assert [line["event"] for line in worker.lines] == ["starting"]
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
        await serve([Agent("Tester", model, db=missing_db)])
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
        await serve([Agent("Tester", model, db=missing_db)], database_wait=0.2)


@pytest.mark.parametrize(
    ("number", "processes"), [(signal.SIGTERM, "1"), (signal.SIGINT, "1"), (signal.SIGTERM, "2")]
)
async def test_a_signal_while_it_waits_for_its_database_ends_it(
    missing_db: PostgresDb, start: StartWorker, number: signal.Signals, processes: str
) -> None:
    worker = start(missing_db, *JSON, "--processes", processes)
    await worker.told(level="warning", logger="kern", times=int(processes))
    worker.send(number)
    assert await worker.ended() == 0
    assert worker.lines[-1]["event"] == "stopped"
    assert "Traceback" not in worker.errors


async def test_a_signal_ends_it_while_a_database_does_not_answer(start: StartWorker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = PostgresDb(f"postgresql://ai:ai@127.0.0.1:{silent.getsockname()[1]}/ai")
        worker = start(db, *JSON)
        connected, _ = await asyncio.to_thread(silent.accept)
        with connected:
            worker.send(signal.SIGTERM)
            assert await worker.ended() == 0


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_a_signal_while_it_migrates_ends_it(
    postgres_db: PostgresDb, start: StartWorker
) -> None:
    connection = await asyncpg.connect(postgres_db._dsn)
    schema = f"kern/{postgres_db._names.schema}"
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", schema)
        worker = start(postgres_db, *JSON)
        async with asyncio.timeout(40):
            while not await connection.fetchval(WAITING):  # noqa: ASYNC110 # nothing notifies
                await asyncio.sleep(0.05)
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
        assert worker.lines[-1]["event"] == "stopped"
    finally:
        await connection.close()
    assert (await postgres_db.version()).found is None


# The main thread does not come back from the second for half an hour, not even for a signal.
BLOCKS = (
    "import time; time.sleep(600)",
    "import hashlib; hashlib.pbkdf2_hmac('md5', b'', b'', 10**9)",
)


@pytest.mark.parametrize(
    ("number", "processes", "block"),
    [
        (signal.SIGTERM, "1", BLOCKS[0]),
        (signal.SIGINT, "1", BLOCKS[1]),
        (signal.SIGTERM, "2", BLOCKS[1]),
        (signal.SIGINT, "2", BLOCKS[0]),
    ],
)
def test_a_signal_while_it_imports_the_agents_ends_it(
    tmp_path: Path, number: signal.Signals, processes: str, block: str
) -> None:
    (tmp_path / "app.py").write_text(f"open('begun', 'w').close()\n{block}\n")
    command = ("worker", "app:agents", "--grace", "600", "--processes", processes)
    assert end_once(tmp_path, tmp_path / "begun", number, *command) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_imports_kern_ends_it(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typer.py").write_text(f"open('begun', 'w').close()\n{BLOCKS[0]}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    assert end_once(tmp_path, tmp_path / "begun", number, "worker", "app:agents") == 0


def end_once(directory: Path, begun: Path, number: signal.Signals, *command: str) -> int:
    """Send a signal to a command once a file is there, and return its exit code."""
    entry = [sys.executable, "-m", "kern.cli.entry", *command]
    process = subprocess.Popen(entry, cwd=directory, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not begun.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        children = psutil.Process(process.pid).children()
        process.send_signal(number)
        code = process.wait(30)
        _, alive = psutil.wait_procs(children, 10)
        assert not alive
        return code
    finally:
        process.kill()
        process.wait()


async def test_a_module_that_cannot_be_imported_is_an_error_all_the_same(
    sqlite_db: Database, tmp_path: Path
) -> None:
    worker = WorkerCommand(tmp_path, environment_of(sqlite_db, ""), "nothing:agents")
    assert await worker.ended() == 1
    worker.close()


async def test_a_signal_while_a_file_is_locked_ends_it(
    sqlite_db: SqliteDb, start: StartWorker
) -> None:
    with closing(sqlite3.connect(sqlite_db._file.path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        worker = start(sqlite_db, *JSON)
        await worker.told("starting")
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
