"""Rows that are damaged hide no others, and no command breaks at them."""

import asyncio
import json
from pathlib import Path

import pytest
from stores import CLAIM, ending, execute, new_run
from typer.testing import CliRunner

from kern.agent import Agent
from kern.cli.main import app
from kern.db.base import Store
from kern.db.sqlite import SqliteDb
from kern.errors import JournalError
from kern.models.openai import OpenAIResponses

DAMAGE = [
    "[]",
    "null",
    "1",
    '"x"',
    "[1]",
    "{",
    '{"messages": 1}',
    '{"messages": [{"role": 1}]}',
    '{"content": 1, "tools": 5}',
    '{"message": 5, "input_tokens": "x"}',
]
COLUMNS = ("input", "output", "error", "metadata", "usage", "requirements", "usage_limits")
STATUSES = ("COMPLETED", "PAUSED", "ERROR", "RUNNING", "PENDING")


async def damage(store: Store, text: str) -> None:
    """Have a damaged run in each status."""
    for status in STATUSES:
        await store.submit(new_run(status, session_id=status))
    for status in STATUSES[:-1]:
        await store.claim(status, CLAIM)
    for status in STATUSES[:-2]:
        await store.settle(ending(status))
        await execute(store, f"UPDATE {{runs}} SET status = '{status}' WHERE run_id = '{status}'")
    for column in COLUMNS:
        value = text.replace("{", "{{").replace("}", "}}")
        await execute(store, f"UPDATE {{runs}} SET {column} = '{value}'")


@pytest.mark.parametrize("text", DAMAGE)
def test_every_command_shows_damaged_runs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kern.db"

    async def main() -> None:
        async with SqliteDb(path) as db:
            await damage(await db.store(), text)

    asyncio.run(main())
    commands = [["runs", "list"], ["db", "status"], ["workers"]]
    commands += [["runs", "show", status] for status in STATUSES]
    for command in commands:
        for form in ([], ["--json"]):
            shown = CliRunner().invoke(app, [*command, "--db", f"sqlite:///{path}", *form])
            assert shown.exit_code == 0, (command, shown.output)
            if form:
                json.loads(shown.stdout)
    retry = CliRunner().invoke(app, ["runs", "retry", "ERROR", "--db", f"sqlite:///{path}"])
    assert isinstance(retry.exception, SystemExit), retry.exception


async def test_a_damaged_run_is_said_to_be(tmp_path: Path, model: OpenAIResponses) -> None:
    async with SqliteDb(tmp_path / "kern.db") as db:
        await damage(await db.store(), "[1]")
        agent = Agent("Tester", model, db=db, id="agent")
        for look in (agent.aget_run_output, agent.aretry_run):
            with pytest.raises(JournalError, match="The row of run ERROR cannot be read"):
                await look("ERROR")
