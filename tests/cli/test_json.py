"""Every command that prints something prints it as JSON with ``--json``."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from msgspec.structs import replace
from stores import CLAIM, ending, new_run
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from kern.cli.database import open_database
from kern.cli.main import app
from kern.run.approval import Approval
from kern.run.base import RunStatus

# What runs until it is stopped, and what prints nothing but JSON.
_OTHERS = {"serve", "worker", "mcp", "model serve", "users export", "ui"}


@pytest.fixture
def where(unmade: list[str], table: str) -> list[str]:
    """The options that name a database, each kind in turn, with a paused and a completed run."""

    async def fill() -> None:
        async with open_database(unmade[1], table) as db:
            store = await db.store()
            await store.submit(new_run("paused", user_id="bob"))
            await store.claim("paused", CLAIM)
            asked = [
                Approval(id=each, run_id="paused", tool_name="pay", tool_args="{}")
                for each in ("first", "second")
            ]
            end = ending("paused", 1, RunStatus.paused)
            await store.settle(replace(end, approvals=tuple(asked)))
            await store.submit(new_run("done", session_id="talk", user_id="ann"))
            await store.claim("done", CLAIM)
            await store.settle(ending("done"))

    asyncio.run(fill())
    return unmade


def told(where: list[str], *command: str) -> Any:
    shown = CliRunner().invoke(app, [*command, "--json", *where])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)


def commands(group: TyperGroup, name: str = "") -> Iterator[tuple[str, TyperCommand]]:
    for each, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{name}{each} ")
        elif isinstance(command, TyperCommand):
            yield f"{name}{each}", command


def test_every_command_that_prints_takes_json() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = dict(commands(group))
    assert len(found) > 25
    without = {
        name
        for name, command in found.items()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without <= _OTHERS


def test_what_is_done_with_schedules_is_told(where: list[str]) -> None:
    options = ["--agent", "agent", "--cron", "0 7 * * *", "--input", "Report"]
    made = told(where, "schedules", "create", "daily", *options)
    assert (made["name"], made["cron"], made["paused"]) == ("daily", "0 7 * * *", False)
    assert told(where, "schedules", "pause", "daily")["paused"] is True
    assert told(where, "schedules", "resume", "daily") == made
    assert told(where, "schedules", "list") == [made]
    assert told(where, "schedules", "delete", "daily") == {"name": "daily", "deleted": True}


def test_what_is_decided_is_told(where: list[str]) -> None:
    approved = told(where, "approvals", "approve", "first", "--by", "ada")
    assert (approved["status"], approved["resolved_by"]) == ("approved", "ada")
    rejected = told(where, "approvals", "reject", "second", "--by", "bob", "--note", "No.")
    assert (rejected["status"], rejected["resolution_data"]) == ("rejected", {"note": "No."})
    assert told(where, "approvals", "show", "second") == rejected

    again = CliRunner().invoke(app, ["approvals", "approve", "first", "--json", *where])
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: first is not pending")


def test_what_is_done_with_budgets_keys_and_users_is_told(where: list[str]) -> None:
    budget = {"user_id": "ann", "per": "day", "cost": 2.0, "tokens": None}
    assert told(where, "budgets", "set", "ann", "--cost", "2") == budget
    deleted = {"user_id": "ann", "per": "day", "deleted": True}
    assert told(where, "budgets", "delete", "ann") == deleted
    key_id = told(where, "keys", "create", "--user", "ann")["key_id"]
    assert told(where, "keys", "revoke", key_id) == {"key_id": key_id, "revoked": True}
    erased = told(where, "users", "erase", "ann", "--yes")
    assert (erased["user_id"], erased["erased"]["runs"]) == ("ann", 1)


def test_what_is_pruned_is_told(where: list[str]) -> None:
    prune = ["db", "prune", "--older-than", "0s"]
    assert told(where, *prune, "--dry-run") == {"dry_run": True, "runs": 1}
    assert told(where, *prune) == {"dry_run": False, "runs": 1}


def test_a_postgres_that_does_not_run_is_told(tmp_path: Path) -> None:
    stopped = {"running": False, "url": None, "data": str(tmp_path)}
    where = ["--data", str(tmp_path)]
    assert told(where, "db", "down") == stopped
    status = CliRunner().invoke(app, ["db", "status", "--json", *where])
    assert (status.exit_code, json.loads(status.stdout)) == (3, stopped)
