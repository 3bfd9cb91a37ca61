"""What the tests of the command line share: workers in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import environment_of
from worker_command import APP, StartWorker, WorkerCommand

from kern.db.database import Database
from kern.testing import ResponsesServer


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
