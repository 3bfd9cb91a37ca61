"""What ``kern users`` prints and does."""

import asyncio
import json

import pytest
from command import invoked
from stores import ending, new_run

from kern.cli.database import open_database
from kern.db.values import Claim


async def fill(where: list[str], stuck: bool = False) -> None:
    async with open_database(where[1], where[3]) as db:
        store = await db.store()
        for user in ("alice", "o'brien"):
            await store.submit(new_run(f"of {user}", session_id=user, user_id=user))
            await store.claim(f"of {user}", Claim("executor", 60.0))
            if not stuck:
                await store.settle(ending(f"of {user}"))


def test_a_user_is_exported_and_erased(where: list[str]) -> None:
    asyncio.run(fill(where))
    exit_code, exported = invoked(where, "users", "export", "o'brien")
    rows = [json.loads(line) for line in exported.splitlines()]
    assert exit_code == 0
    assert [row["kind"] for row in rows] == ["session", "run"]
    assert rows[1]["run_id"] == "of o'brien"

    for said in (None, "n\n"):
        exit_code, shown = invoked(where, "users", "erase", "o'brien", given=said)
        assert exit_code == 1
        assert "Cancel the runs of o'brien, and delete everything of o'brien? [y/N]" in shown
        assert ("With --yes nothing is asked." in shown) is (said is None)
    assert invoked(where, "users", "export", "o'brien") == (0, exported)
    told = "o'brien is erased (runs: 1, sessions: 1, schedules: 0, budgets: 0, memories: 0)\n"
    exit_code, shown = invoked(where, "users", "erase", "o'brien", given="y\n")
    assert (exit_code, shown.endswith(told)) == (0, True)
    assert invoked(where, "users", "export", "o'brien") == (0, "")
    [left] = json.loads(invoked(where, "runs", "list", "--json")[1])
    assert left["run_id"] == "of alice"


def test_a_run_that_does_not_stop_is_said(where: list[str]) -> None:
    asyncio.run(fill(where, stuck=True))
    exit_code, said = invoked(where, "users", "erase", "alice", "--timeout", "0", "--yes")
    assert exit_code == 1
    assert "runs or more of the user 'alice' have not stopped within 0 s" in said


@pytest.mark.parametrize("command", ["export", "erase"])
def test_what_is_no_user_is_refused(where: list[str], command: str) -> None:
    exit_code, said = invoked(where, "users", command, "")
    assert exit_code == 1
    assert "USER must have 1 to 255 characters" in said
