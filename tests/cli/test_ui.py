"""``kern ui`` shows a database without its agents; their workers carry out what is done there."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from api import until
from pages import Browser
from runs_api import Api, ByName, agents_on, ended, submitted
from served import served
from typer.testing import CliRunner
from worker_command import KERN

from kern.cli.main import app
from kern.db.postgres import PostgresDb
from kern.local.postgres import EmbeddedPostgres
from kern.server import create_app

TABLE = "shown_alone"


@pytest.fixture(scope="module")
def gate() -> "Future[None]":
    return Future()


@pytest.fixture(scope="module")
def worker(postgres: EmbeddedPostgres, gate: "Future[None]") -> Iterator[Api]:
    """A service that has the agents and executes their runs, on another port."""
    db = PostgresDb(f"{postgres.url}?sslmode=disable", session_table=TABLE)
    agents = agents_on(db, {"held": gate})
    with served(create_app(agents, auth=ByName(), ui=False)) as url:
        api = Api(url, {"held": gate})
        yield api
        api.close()


@contextmanager
def shown(url: str, directory: Path) -> Iterator[tuple[httpx.Client, int]]:
    """Run ``kern ui``; yields its client and the process."""
    errors = (directory / "errors.txt").open("w+")
    command = [KERN, "ui", "--db", url, "--session-table", TABLE, "--port", "0", "--log", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, errors.seek(0) or errors.read()
        page = json.loads(line)["url"]
        assert page.startswith("http://127.0.0.1:")
        try:
            with httpx.Client(base_url=page.removesuffix("/ui"), timeout=30) as client:
                yield client, process.pid
        finally:
            process.terminate()
            process.wait(20)
    assert process.returncode == 0
    errors.close()


@pytest.fixture(scope="module")
def alone(
    postgres: EmbeddedPostgres, worker: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Browser, int]]:
    with shown(postgres.url, tmp_path_factory.mktemp("ui")) as (client, pid):
        yield Browser(client), pid


def status_of(worker: Api, run_id: str) -> str:
    return str(worker.as_("ada", "admin").get(f"/v1/runs/{run_id}").json()["status"])


def test_every_action_is_carried_out_by_who_has_the_agent(
    alone: tuple[Browser, int], worker: Api, gate: "Future[None]"
) -> None:
    browser, pid = alone
    ada = worker.as_("ada")
    failed, paused = ended(ada, "fragile", "again"), ended(ada, "clerk", "send")
    held = submitted(ada, "held", "held")
    until(lambda: status_of(worker, held) == "RUNNING")
    for each in (failed["run_id"], paused["run_id"], held):
        assert each in browser.open("/ui/runs").html

    browser.press(browser.open(f"/ui/runs/{held}"), "Cancel the run")
    until(lambda: status_of(worker, held) == "CANCELLED")
    browser.press(browser.open(f"/ui/runs/{failed['run_id']}"), "Retry the run")
    until(lambda: status_of(worker, failed["run_id"]) == "COMPLETED")
    browser.press(browser.open(f"/ui/runs/{paused['run_id']}"), "Approve")
    until(lambda: status_of(worker, paused["run_id"]) == "COMPLETED")
    page = browser.press(browser.open(f"/ui/runs/{failed['run_id']}"), "Fork", input="Once more")
    assert "This run was forked from" in page.text
    runs = ada.get("/v1/runs", params={"agent": "fragile"}).json()["data"]
    fork = next(each["run_id"] for each in runs if each["run_id"] != failed["run_id"])
    until(lambda: status_of(worker, fork) in ("COMPLETED", "ERROR"))

    workers = browser.open("/ui/workers")
    assert str(pid) not in workers.text, "it executes nothing"


def test_an_agent_that_comes_later_is_shown_too(
    alone: tuple[Browser, int], postgres: EmbeddedPostgres, worker: Api
) -> None:
    browser, _ = alone
    browser.open("/ui/runs")
    run_id = ended(worker.as_("ada"), "typed")["run_id"]
    until(lambda: run_id in browser.open("/ui/runs").html)


def test_where_there_are_no_tables_it_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ui", "--db", f"sqlite:///{tmp_path}/none.db"])
    assert done.exit_code == 1
    assert "There are no tables of kern" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_it_listens_on_this_machine_only(alone: tuple[Browser, int]) -> None:
    browser, _ = alone
    response = browser.client.get("/ui", headers={"Host": "evil.example"})
    assert response.status_code == 403
    assert browser.client.get("/v1/runs").status_code == 404
