"""What ``kern components`` prints."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kern.agent import Agent
from kern.cli.main import app
from kern.db.sqlite import SqliteDb


@pytest.fixture
def db(tmp_path: Path) -> SqliteDb:
    """A database with an agent of two versions, and another."""
    db = SqliteDb(str(tmp_path / "kern.db"))
    shop = Agent("Shop", "openai:gpt-5.4", db=db)
    shop.save(label="stable", notes="\x1b[31mred")
    shop.save(stage="draft")
    Agent("Clerk", "openai:gpt-5.4").save(db=db)
    return db


def kern(db: SqliteDb, *command: str) -> str:
    where = ["--db", f"sqlite:///{db.to_dict()['db_file']}"]
    shown = CliRunner().invoke(app, ["components", *command, *where])
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_what_is_saved_is_listed(db: SqliteDb) -> None:
    shown = kern(db, "list")
    assert shown.index("clerk") < shown.index("shop")
    assert "published, current" in shown
    assert "stable" in shown
    assert "\x1b[31m" not in shown
    found = json.loads(kern(db, "list", "--json"))
    named = [(each["component_id"], each["version"]) for each in found]
    assert named == [("clerk", 1), ("shop", 1)]


def test_the_versions_of_one_are_listed(db: SqliteDb) -> None:
    found = json.loads(kern(db, "list", "shop", "--json"))
    assert [(each["version"], each["stage"]) for each in found] == [(2, "draft"), (1, "published")]
    assert "draft" in kern(db, "list", "shop")
    assert "Nothing is saved" in kern(db, "list", "unknown")
