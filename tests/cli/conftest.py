"""What the tests of the command line share: databases, and workers in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import printed
from elsewhere import environment_of
from worker_command import APP, StartWorker, WorkerCommand

from kern.db.database import Database
from kern.local.postgres import EmbeddedPostgres
from kern.testing import ResponsesServer


@pytest.fixture(params=["postgres", "sqlite"])
def unmade(request: pytest.FixtureRequest, tmp_path: Path, table: str) -> list[str]:
    """The options that name a database without tables, each kind in turn."""
    if request.param == "sqlite":
        return ["--db", f"sqlite:///{tmp_path / 'kern.db'}", "--table", table]
    server: EmbeddedPostgres = request.getfixturevalue("postgres")
    return ["--db", server.url, "--table", table]


@pytest.fixture
def where(unmade: list[str]) -> list[str]:
    """The options that name a database, each kind in turn."""
    printed(unmade, "db", "migrate")
    return unmade


@pytest.fixture
def start(tmp_path: Path, server: ResponsesServer) -> Iterator[StartWorker]:
    """Start a worker on a database, with these arguments."""
    started: list[WorkerCommand] = []

    def begin(db: Database, *arguments: str, app: str = APP) -> WorkerCommand:
        environment = environment_of(db, server.base_url)
        worker = WorkerCommand(tmp_path, environment, *arguments, app=app)
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.close()
