"""What ``kern approvals`` shows and does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from command import invoked
from msgspec.structs import replace
from stores import CLAIM, ending, new_run
from typer.testing import CliRunner

from kern.cli.database import open_database
from kern.cli.main import app
from kern.run.approval import Approval
from kern.run.base import RunStatus


@pytest.fixture
def where(unmade: list[str], table: str) -> list[str]:
    """The options that name a database in which a run waits for two approvals."""

    async def fill() -> None:
        async with open_database(unmade[1], table) as db:
            store = await db.store()
            await store.submit(new_run())
            await store.claim("run", CLAIM)
            asked = [
                Approval(
                    id=each,
                    run_id="run",
                    tool_name="pay",
                    tool_args='{"amount":5,"to":"\\u001b[31m"}',
                    source_name="Cashier",
                    agent_id="cashier",
                    user_id=each,
                )
                for each in ("ada", "bob")
            ]
            await store.settle(replace(ending("run", 1, RunStatus.paused), approvals=tuple(asked)))

    asyncio.run(fill())
    return unmade


def kern(where: list[str], *command: str) -> tuple[int, str]:
    return invoked(where, "approvals", *command)


def said(where: list[str], *command: str) -> str:
    exit_code, output = kern(where, *command)
    assert exit_code == 0, output
    return output


def listed(where: list[str], *command: str) -> list[str]:
    found: dict[str, Any] = json.loads(said(where, "list", "--json", *command))
    assert found["total"] == len(found["approvals"])
    return sorted(each["id"] for each in found["approvals"])


def test_approvals_are_listed_shown_and_resolved(where: list[str]) -> None:
    assert listed(where) == ["ada", "bob"]
    assert listed(where, "--user", "ada") == ["ada"]
    assert listed(where, "--agent", "other") == []
    assert listed(where, "--run", "run", "--type", "required") == ["ada", "bob"]
    table = said(where, "list")
    assert "Cashier" in table
    assert "pay(" in table
    assert "\x1b[31m" not in table
    assert "1 of 2; --page shows the others." in said(where, "list", "--limit", "1")
    shown = said(where, "show", "ada")
    assert "pending" in shown
    assert "\x1b[31m" not in shown

    approved = said(where, "approve", "ada", "--by", "boss")
    assert approved == "ada is approved; run run goes on\n"
    assert listed(where) == ["bob"]
    found = json.loads(said(where, "show", "ada", "--json"))
    assert (found["status"], found["resolved_by"]) == ("approved", "boss")

    rejected = said(where, "reject", "bob", "--note", "Too much.")
    assert rejected.startswith("bob is rejected; ")
    found = json.loads(said(where, "show", "bob", "--json"))
    assert found["resolution_data"] == {"note": "Too much."}
    assert found["resolved_by"], "it is who is logged in"
    assert listed(where, "--status", "any") == ["ada", "bob"]
    assert said(where, "list") == "No approvals.\n"


def test_what_is_resolved_is_not_resolved_again(where: list[str]) -> None:
    said(where, "approve", "ada", "--by", "boss", "--args", '{"amount": 4}')
    found = json.loads(said(where, "show", "ada", "--json"))
    assert found["resolution_data"] == {"arguments": {"amount": 4}}
    for verb in ("approve", "reject"):
        exit_code, shown = kern(where, verb, "ada")
        assert exit_code == 1
        assert shown.startswith("Error: ada is not pending: it is approved by boss at 20")
        assert shown.rstrip().endswith(" UTC.")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["show", "nobody"], "Error: There is no approval 'nobody'.\n"),
        (["approve", "nobody"], "Error: There is no approval 'nobody'.\n"),
        (["reject", "nobody"], "Error: There is no approval 'nobody'.\n"),
        (["approve", "nobody", "--args", "5"], "Error: --args must be a JSON object"),
        (["approve", "nobody", "--values", "{"], "Error: --values must be a JSON object"),
        (["list", "--status", "open"], "Error: status must be one of pending, approved"),
    ],
)
def test_a_mistake_is_one_line(command: list[str], told: str, tmp_path: Path) -> None:
    file = ["--db", f"sqlite:///{tmp_path / 'kern.db'}"]
    assert CliRunner().invoke(app, ["db", "migrate", *file]).exit_code == 0
    exit_code, shown = kern(file, *command)
    assert exit_code == 1
    assert shown.startswith(told)
    assert shown.count("\n") == 1


@pytest.mark.parametrize("command", ["list", "show", "approve", "reject"])
def test_every_command_has_a_help_text(command: str) -> None:
    shown = CliRunner().invoke(app, ["approvals", command, "--help"])
    assert shown.exit_code == 0
    assert "pproval" in shown.output
