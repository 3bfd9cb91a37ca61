"""What ``kern schedules`` shows and does."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kern.cli.database import open_database
from kern.cli.main import app
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.errors import ConfigurationError
from kern.local.postgres import EmbeddedPostgres

CREATE = ["create", "daily", "--agent", "tester", "--cron", "30 9 * * *", "--input", "Go"]


@pytest.fixture(params=["postgres", "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path, table: str) -> list[str]:
    """The options that name a database, each kind in turn."""
    if request.param == "sqlite":
        return ["--db", f"sqlite:///{tmp_path / 'kern.db'}"]
    server: EmbeddedPostgres = request.getfixturevalue("postgres")
    return ["--db", server.url, "--table", table]


def kern(command: list[str], where: list[str], **environment: str) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["schedules", *command, *where], env=environment)
    return shown.exit_code, shown.output


def said(command: list[str], where: list[str]) -> str:
    exit_code, output = kern(command, where)
    assert exit_code == 0, output
    return output


def test_a_schedule_is_created_listed_paused_resumed_and_deleted(where: list[str]) -> None:
    created = said([*CREATE, "--timezone", "Asia/Tokyo", "--missed", "all"], where)
    assert created.startswith("daily runs next at 20")
    assert created.endswith(" 09:30\n")
    [found] = json.loads(said(["list", "--json"], where))
    assert (found["name"], found["agent_id"], found["missed"]) == ("daily", "tester", "all")
    assert found["next_at"].endswith("T00:30:00+00:00")
    shown = said(["list"], where)
    assert "daily" in shown
    assert "Asia/Tokyo" in shown
    assert json.loads(said(["list", "--json", "--agent", "other"], where)) == []

    assert said(["pause", "daily"], where) == "daily is paused\n"
    assert "paused" in said(["list"], where)
    assert "runs next at" in said(["resume", "daily"], where)
    assert said(["delete", "daily"], where) == "daily is deleted\n"
    assert json.loads(said(["list", "--json"], where)) == []


@pytest.mark.parametrize("command", [["pause"], ["resume"], ["delete"]])
def test_one_that_does_not_exist(command: list[str], tmp_path: Path) -> None:
    shown = kern([*command, "daily"], ["--db", f"sqlite:///{tmp_path / 'kern.db'}"])
    assert shown == (1, "Error: There is no schedule 'daily'.\n")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--cron", "61 * * * *"], "Bad minute"),
        (["--timezone", "Berlin"], "Did you mean Europe/Berlin?"),
        (["--missed", "twice"], "'skip', 'once' or 'all', not 'twice'"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], what: str, tmp_path: Path) -> None:
    exit_code, shown = kern([*CREATE, *options], ["--db", f"sqlite:///{tmp_path / 'kern.db'}"])
    assert exit_code == 1
    assert shown.startswith("Error: ")
    assert what in shown
    assert shown.count("\n") == 1


def test_the_database_comes_from_the_environment(tmp_path: Path) -> None:
    shown = kern(["list", "--json"], [], KERN_DB_URL=f"sqlite:///{tmp_path / 'kern.db'}")
    assert shown == (0, "[]\n")
    assert (tmp_path / "kern.db").exists()


def test_without_a_database_the_error_says_what_to_do() -> None:
    exit_code, shown = kern(["list"], [])
    assert exit_code == 1
    assert "Set KERN_DB_URL or give --db" in shown


def test_a_url_names_a_database(tmp_path: Path) -> None:
    sqlite = open_database("sqlite:///some/kern.db", "mine")
    assert isinstance(sqlite, SqliteDb)
    assert (sqlite._file.path, sqlite.session_table) == ("some/kern.db", "mine")
    absolute = open_database(f"sqlite:///{tmp_path}/kern.db")
    assert isinstance(absolute, SqliteDb)
    assert absolute._file.path == f"{tmp_path}/kern.db"
    assert isinstance(open_database("postgresql://ai:ai@localhost/ai"), PostgresDb)
    for url in ("sqlite://kern.db", "sqlite:///", "mysql://localhost/ai", "kern.db"):
        with pytest.raises(ConfigurationError):
            open_database(url)
