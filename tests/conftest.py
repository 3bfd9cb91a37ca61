"""What the tests share: real databases, a server that speaks for the model, real processes."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Elsewhere, Process, environment_of, write_script
from other_postgres import OtherPostgres
from ports import free_port
from used_tables import UsedTables
from workers import NewWorker, Worker

from kern.agent import Agent
from kern.aio.portal import close_portal
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.execution.cancellation import cancellations
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.testing import ResponsesServer

_numbers = count()
_EARLIER = pytest.StashKey[set[threading.Thread]]()

# Threads that outlive a test's loop, and log by themselves; servers that tests share are others.
_LASTING = ("kern-heart", "kern-sqlite", "kern-telemetry", "Otel")

# What the machine may say of keys, servers and certificates.
_FOREIGN = ("ANTHROPIC_", "GEMINI_", "GOOGLE_", "KERN_", "OPENAI_", "PGQUEUER_", "SSL_CERT_")

# What is durable is what the processes see; no test has the machine crash.
_SERVER = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_senders": "0",
    "wal_level": "minimal",
}

# What looks at the tables themselves has new ones; others may have what earlier tests have left.
_OF_THE_TABLES = (
    "test_database_outage.py",
    "test_flat_cost.py",
    "test_large_results.py",
    "test_million.py",
    "test_outages.py",
    "test_postgres_damage.py",
    "test_postgres_schema.py",
    "test_sqlite.py",
    "test_sqlite_forks.py",
    "test_start.py",
    "test_tables.py",
)


_TABLE = "tests"


def pytest_configure() -> None:
    """Take Ctrl-C, which what runs in the background ignores; and end at SIGTERM as at Ctrl-C.

    Otherwise the servers that the tests have started would outlive them.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Take three processes for two cores: tests wait for a part of their time."""
    return (3 * (os.cpu_count() or 1) + 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector leave alone what is there before the first test, and remains."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have several processes begin with what may take longest, so that none ends with it alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=_time_limit, reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which threads still do what earlier tests have begun."""
    item.stash[_EARLIER] = {
        each for each in threading.enumerate() if each.name.startswith(_LASTING)
    }


@pytest.fixture
def caplog(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, without what threads of earlier tests still log."""
    earlier = request.node.stash[_EARLIER]

    def is_ours(_: logging.LogRecord) -> bool:
        return threading.current_thread() not in earlier

    caplog.handler.addFilter(is_ours)
    yield caplog
    caplog.handler.removeFilter(is_ours)


def _time_limit(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return 0.0 if marker is None else marker.args[0]


@pytest.fixture
def unused_tcp_port() -> int:
    """A port that nothing listens on, in place of pytest-asyncio's, which others are given, too."""
    return free_port()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the machine's environment sets away from the tests."""
    for name in [*os.environ]:
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    # Nobody here speaks TLS, and to read a machine's certificates takes 45 ms a client.
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)


@pytest.fixture(autouse=True)
def _pending_cancels() -> Iterator[None]:
    """Forget the cancels of runs that have not come; every database would be told of them."""
    yield
    cancellations._pending.clear()


@pytest.fixture(autouse=True)
def _portal() -> Iterator[None]:
    """End the loop behind the synchronous verbs with the test that has used it."""
    yield
    close_portal()


def _in_memory() -> str | None:
    """Return a directory in memory, if there is one with room: making tables costs half there."""
    found = Path("/dev/shm")
    return str(found) if found.is_dir() and shutil.disk_usage(found).free > 2**33 else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real PostgreSQL for the whole session, by the programs in TEST_POSTGRES if it is set."""
    # Not pytest's own directory: that is closed to the user under which PostgreSQL runs.
    with tempfile.TemporaryDirectory(prefix="kern-test-", dir=_in_memory()) as data:
        settings: dict[str, Any] = {"port": free_port(), "options": _SERVER}
        other = os.environ.get("TEST_POSTGRES")
        server = (
            EmbeddedPostgres(Path(data), **settings)
            if other is None
            else OtherPostgres(Path(other), Path(data), **settings)
        )
        server.start()
        yield server
        server.stop("immediate")


@pytest.fixture
def table() -> str:
    """A session table that no other test uses."""
    return f"test_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def used_tables(postgres: EmbeddedPostgres) -> Iterator[UsedTables]:
    """The tables that earlier tests have left."""
    used = UsedTables(f"{postgres.url}?sslmode=disable")
    yield used
    used.close()


@pytest.fixture
def postgres_db(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, used_tables: UsedTables
) -> Iterator[PostgresDb]:
    """An empty database in PostgreSQL."""
    # What names its table itself has something else in it, too.
    is_new = "table" in request.fixturenames or request.path.name in _OF_THE_TABLES
    found = None if is_new else used_tables.take()
    table: str = found or request.getfixturevalue("table")
    # The driver leaves its connection open where a test ends while it is asking for TLS.
    yield PostgresDb(f"{postgres.url}?sslmode=disable", session_table=table)
    if not is_new:
        used_tables.leave(table)


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with empty tables, which takes a fifth of new ones to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "kern.db"

    async def make() -> None:
        async with SqliteDb(path, session_table=_TABLE) as db:
            await db.store()

    # A test may ask for a database while its own loop runs.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return path


@pytest.fixture
def sqlite_db(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteDb:
    """An empty database in a file."""
    path = tmp_path / "kern.db"
    if "table" in request.fixturenames or request.path.name in _OF_THE_TABLES:
        return SqliteDb(path, session_table=request.getfixturevalue("table"))
    shutil.copyfile(request.getfixturevalue("sqlite_tables"), path)
    return SqliteDb(path, session_table=_TABLE)


@pytest.fixture(params=["postgres", "sqlite", "memory"])
def db(request: pytest.FixtureRequest) -> Database:
    """Each kind of database in turn."""
    if request.param == "memory":
        return InMemoryDb()
    found: Database = request.getfixturevalue(f"{request.param}_db")
    return found


@pytest.fixture(params=["postgres", "sqlite"])
def shared_db(request: pytest.FixtureRequest) -> Database:
    """Each kind of database that several processes can use, in turn."""
    found: Database = request.getfixturevalue(f"{request.param}_db")
    return found


@pytest.fixture
async def server() -> AsyncIterator[ResponsesServer]:
    """A server that speaks OpenAI's Responses API, and says what the test tells it to."""
    async with ResponsesServer() as running:
        yield running


@pytest.fixture(scope="session")
def _sdk() -> None:
    """Import the provider's SDK, for seconds on a busy machine, before a test watches the time."""
    import_module("openai.resources.responses")


@pytest.fixture
def model(server: ResponsesServer, _sdk: None) -> OpenAIResponses:
    """A model at that server, which gives up at the first error."""
    return OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test", max_retries=0)


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a Python script in a process of its own; none of them outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        path = tmp_path / f"script_{len(started)}.py"
        path.write_text(script)
        process = subprocess.Popen(
            [sys.executable, "-u", str(path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def agent(shared_db: Database, model: OpenAIResponses) -> Agent:
    """An agent on a database that other processes use as well, each kind in turn."""
    return Agent("Tester", model, db=shared_db)


@pytest.fixture
def elsewhere(shared_db: Database, server: ResponsesServer, tmp_path: Path) -> Iterator[Elsewhere]:
    """Start a process that has the same agent and does what the test says."""
    started: list[Process] = []

    def start(body: str, **environment: str) -> Process:
        script = write_script(tmp_path / f"elsewhere_{len(started)}.py", body)
        process = Process(script, environment_of(shared_db, server.base_url) | environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


@pytest.fixture
def new_worker(server: ResponsesServer) -> Iterator[NewWorker]:
    """Start a process that executes the runs of the agent in a database."""
    started: list[Worker] = []

    def start(db: Database, **arguments: Any) -> Worker:
        worker = Worker(db, server.base_url, **arguments)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()
