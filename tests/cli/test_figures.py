"""What ``kern figures`` and ``kern db status`` say of what happened."""

import asyncio
import json

import pytest
from command import options_of, printed
from stores import execute, seconds_ago

from kern.db.base import Store
from kern.db.database import Database


def kern(db: Database, *command: str) -> str:
    return printed(options_of(db), *command)


async def happen(store: Store) -> None:
    """Have a run of each of two agents have ended some minutes ago."""
    for agent_id, status in (("echo", "COMPLETED"), ("typed", "ERROR")):
        began, ended = seconds_ago(store, 603), seconds_ago(store, 600)
        await execute(
            store,
            "INSERT INTO {runs} (run_id, session_id, agent_id, status, usage, created_at, "
            f"started_at, finished_at) VALUES ('{agent_id}', 's', '{agent_id}', '{status}', "
            """'{{"input_tokens":1000,"output_tokens":20,"cost":0.25}}', """
            f"{began}, {began}, {ended})",
        )
    while await store.figures.count():
        pass


@pytest.fixture
def happened(shared_db: Database) -> Database:
    """A database in which something has happened, and is counted."""

    async def main() -> None:
        await happen(await shared_db.store())

    asyncio.run(main())
    return shared_db


def test_what_happened_is_shown_in_rows_and_as_a_whole(happened: Database) -> None:
    lines = kern(happened, "figures", "--last", "1h").splitlines()
    assert lines[0].split() == [
        *("From", "Submitted", "Completed", "Failed", "Cancelled"),
        *("Wait", "p50", "Wait", "p95", "Run", "p50", "Run", "p95", "Tokens", "Cost"),
    ]
    assert lines[-1].split()[:4] == ["all", "2", "1", "1"]
    assert lines[-1].split()[-2:] == ["2,040", "$0.5000"]
    of_one = kern(happened, "figures", "--agent", "echo").splitlines()
    assert of_one[-1].split()[:3] == ["all", "1", "1"]


def test_what_happened_is_shown_as_json(happened: Database) -> None:
    found = json.loads(kern(happened, "figures", "--last", "1h", "--json"))
    assert (found["span"], found["step"]) == ("1h", 60)
    whole = found["whole"]
    assert (whole["submitted"], whole["completed"], whole["failed"]) == (2, 1, 1)
    assert (whole["cost"], whole["duration_p50"]) == (0.5, 3.5)
    assert sum(each["submitted"] for each in found["steps"]) == 2


def test_the_last_hour_is_part_of_the_status(happened: Database) -> None:
    told = kern(happened, "db", "status")
    assert "2 submitted, 1 completed, 1 failed, 0 cancelled" in told
    assert "$0.5000" in told
    assert json.loads(kern(happened, "db", "status", "--json"))["last_hour"]["failed"] == 1


def test_where_nothing_was_counted_that_is_said(shared_db: Database) -> None:
    kern(shared_db, "db", "migrate")
    assert "Nothing was counted yet" in kern(shared_db, "figures")
    assert json.loads(kern(shared_db, "figures", "--json")) == {
        "span": "24h",
        "step": 300,
        "whole": None,
        "steps": [],
    }
    assert json.loads(kern(shared_db, "db", "status", "--json"))["last_hour"] is None
