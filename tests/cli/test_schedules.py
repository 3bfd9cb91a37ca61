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
NEW = [*CREATE, "--force"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a file with tables."""
    url = f"sqlite:///{tmp_path / 'kern.db'}"
    assert CliRunner().invoke(app, ["db", "migrate", "--db", url]).exit_code == 0
    return url


def kern(command: list[str], where: list[str], **environment: str) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["schedules", *command, *where], env=environment)
    return shown.exit_code, shown.output


def said(command: list[str], where: list[str]) -> str:
    exit_code, output = kern(command, where)
    assert exit_code == 0, output
    return output


def test_a_schedule_is_created_listed_paused_resumed_and_deleted(where: list[str]) -> None:
    created = said([*NEW, "--timezone", "Asia/Tokyo", "--missed", "all"], where)
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
def test_one_that_does_not_exist(command: list[str], file: str) -> None:
    shown = kern([*command, "daily"], ["--db", file])
    assert shown == (1, "Error: There is no schedule 'daily'.\n")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--cron", "61 * * * *"], "Bad minute"),
        (["--timezone", "Berlin"], "Did you mean Europe/Berlin?"),
        (["--missed", "twice"], "'skip', 'once' or 'all', not 'twice'"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], what: str, file: str) -> None:
    exit_code, shown = kern([*CREATE, *options], ["--db", file])
    assert exit_code == 1
    assert shown.startswith("Error: ")
    assert what in shown
    assert shown.count("\n") == 1


def test_the_database_comes_from_the_environment(file: str) -> None:
    assert kern(["list", "--json"], [], KERN_DB_URL=file) == (0, "[]\n")


def test_a_schedule_is_for_an_agent_that_the_database_knows(where: list[str]) -> None:
    exit_code, shown = kern(CREATE, where)
    assert exit_code == 1
    assert "The agent 'tester' is not known here: no process serves it" in shown
    assert "Give --force if it is yet to come." in shown
    assert json.loads(said(["list", "--json"], where)) == []
    assert "daily runs next" in said(NEW, where)
    other = ["create", "other", "--agent", "testr", "--cron", "0 9 * * *", "--input", "Go"]
    assert "Did you mean 'tester'?" in kern(other, where)[1]
    assert "daily runs next" in said(CREATE, where)  # It is known by now.


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


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://kern.db", "write sqlite:///kern.db"),
        ("sqlite:///", "write sqlite:///kern.db"),
        ("sqlit:///kern.db", "Did you mean 'sqlite'?"),
        ("postgrsql://ai:secret@localhost/ai", "Did you mean 'postgresql'?"),
        ("mysql://ai:secret@localhost/ai", "There are: postgresql, sqlite."),
        ("ai:secret@localhost/ai", "sqlite:///kern.db for a file. It is no URL."),
        ("kern.db", "sqlite:///kern.db for a file. It is no URL."),
    ],
)
def test_a_url_that_names_none_is_explained_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_database(url)
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        ["schedules", "list"],
        ["schedules", *CREATE],
        ["schedules", "pause", "daily"],
        ["schedules", "delete", "daily"],
        ["runs", "list"],
        ["runs", "list", "--json"],
        ["runs", "show", "run"],
        ["runs", "watch"],
        ["runs", "watch", "run"],
        ["runs", "cancel", "run"],
        ["runs", "retry", "run"],
        ["db", "prune", "--older-than", "1d"],
    ],
    ids=" ".join,
)
def test_a_command_makes_no_database_of_a_mistyped_name(command: list[str], tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.touch()
    for name in ("typo.db", "typo/kern.db", "there.db"):
        url = f"sqlite:///{tmp_path / name}"
        shown = CliRunner().invoke(app, [*command, "--db", url])
        assert shown.exit_code == 1, shown.output
        assert "There are no tables of kern in SqliteDb(" in shown.output
        assert "kern db migrate, makes them." in shown.output
    assert [*tmp_path.iterdir()] == [there]
    assert there.read_bytes() == b""


def test_a_command_makes_no_tables_of_a_mistyped_name(postgres: EmbeddedPostgres) -> None:
    for options in (["--table", "typo"], ["--schema", "typo"]):
        where = ["--db", postgres.url, *options]
        exit_code, shown = kern(["list"], where)
        assert exit_code == 1
        assert "There are no tables of kern in PostgresDb(" in shown
        assert CliRunner().invoke(app, ["db", "status", *where]).exit_code == 3


@pytest.mark.parametrize("path", ["sqlite:///kern.db", "postgresql://a:b@c/d", "file:kern.db", ""])
def test_a_file_is_not_named_by_a_url(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"write SqliteDb\('kern.db'\)"):
        SqliteDb(path)
    SqliteDb(tmp_path / "a:b" / "kern.db")
    SqliteDb("C:/kern.db")
