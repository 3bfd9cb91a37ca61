"""``kern runs cancel`` and ``kern runs retry`` of many runs: named, or chosen."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from command import invoked, options_of
from stores import CLAIM, ending, execute, new_run, seconds_ago

from kern.db.base import Store
from kern.db.database import Database
from kern.run.base import RunStatus


def kern(db: Database, *command: str, given: str | None = None) -> tuple[int, str]:
    return invoked(options_of(db), "runs", *command, given=given)


def prepare(db: Database, work: Callable[[Store], Awaitable[object]]) -> None:
    async def main() -> None:
        await work(await db.store())

    asyncio.run(main())


def of(db: Database, *choice: str) -> list[str]:
    exit_code, shown = kern(db, "list", "--json", *choice)
    assert exit_code == 0, shown
    return [run["run_id"] for run in json.loads(shown)]


async def some(store: Store) -> None:
    """Have pending, running, paused, failed and completed runs, of two agents and users."""
    for number, (status, agent, user) in enumerate(
        (
            ("PENDING", "a", "ann"),
            ("PENDING", "b", "bob"),
            ("RUNNING", "a", "ann"),
            ("PAUSED", "a", "bob"),
            ("ERROR", "a", "ann"),
            ("ERROR", "b", "ann"),
            ("ERROR", "b", "bob"),
            ("COMPLETED", "a", "ann"),
        )
    ):
        run_id = f"{status.lower()}-{number}"
        await store.submit(
            new_run(run_id, session_id=f"s{number % 2}", agent_id=agent, user_id=user)
        )
        if status != "PENDING":
            await store.claim(run_id, CLAIM)
        if status not in ("PENDING", "RUNNING"):
            await store.settle(ending(run_id, status=RunStatus(status), error='{"message":"e"}'))
        past = seconds_ago(store, 1000 - 100 * number)
        await execute(
            store, f"UPDATE {{runs}} SET created_at = {past} WHERE run_id = {{1}}", run_id
        )


def test_runs_are_chosen_for_a_cancel_and_confirmed_by_their_count(shared_db: Database) -> None:
    prepare(shared_db, some)
    exit_code, shown = kern(shared_db, "cancel", "--agent", "a", given="n\n")
    assert exit_code == 1
    assert "Cancel 3 runs (1 PENDING, 1 RUNNING, 1 PAUSED)? [y/N]" in shown
    assert of(shared_db, "--status", "cancelled") == []
    exit_code, shown = kern(shared_db, "cancel", "--agent", "a", given="")
    assert (exit_code, "Nothing is changed. With --yes nothing is asked." in shown) == (1, True)

    exit_code, shown = kern(shared_db, "cancel", "--agent", "a", given="y\n")
    assert exit_code == 0
    assert shown.endswith(
        "pending-0 is cancelled\nrunning-2 is cancelled\npaused-3 is cancelled\n3 runs cancelled\n"
    )
    assert kern(shared_db, "list", "--json", "--agent", "b", "--status", "pending")[0] == 0
    assert of(shared_db, "--status", "pending") == ["pending-1"]
    assert kern(shared_db, "cancel", "--agent", "nobody", "--yes") == (0, "No runs.\n")


def test_every_filter_chooses(shared_db: Database) -> None:
    prepare(shared_db, some)
    for choice, count in (
        (["--agent", "b"], "1 run (1 PENDING)"),
        (["--user", "bob"], "2 runs (1 PENDING, 1 PAUSED)"),
        (["--session", "s1"], "2 runs (1 PENDING, 1 PAUSED)"),
        (["--status", "running"], "1 run (1 RUNNING)"),
        (["--status", "running", "--status", "PENDING"], "3 runs (2 PENDING, 1 RUNNING)"),
        (["--since", "850s"], "2 runs (1 RUNNING, 1 PAUSED)"),
        (["--until", "850s"], "2 runs (2 PENDING)"),
        (["--since", "950s", "--until", "850s"], "1 run (1 PENDING)"),
        (["--since", "2020-01-01", "--until", "2020-01-02T12:00Z"], "0 runs"),
        (["--user", "ann", "--status", "pending"], "1 run (1 PENDING)"),
        (["--user", "' OR '1'='1"], "0 runs"),
        (["--agent", "a", "--limit", "2"], "2 runs (1 RUNNING, 1 PAUSED)"),
    ):
        exit_code, shown = kern(shared_db, "cancel", *choice, "--dry-run")
        assert (exit_code, shown) == (0, f"{count} would be cancelled\n"), choice
    assert of(shared_db, "--status", "cancelled") == []
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert len(of(shared_db, "--since", hour_ago)) == 8
    assert of(shared_db, "--until", hour_ago) == []
    assert of(shared_db, "--until", "850s", "--limit", "1") == ["pending-1"]


def test_failed_runs_are_retried_by_choice_and_by_name(shared_db: Database) -> None:
    prepare(shared_db, some)
    assert kern(shared_db, "retry", "--user", "ann", "--dry-run") == (
        0,
        "2 runs (2 ERROR) would be retried\n",
    )
    exit_code, shown = kern(shared_db, "retry", "--status", "error", "--user", "ann", "--yes")
    assert exit_code == 0
    assert shown.splitlines()[-1] == "2 runs retried"
    assert of(shared_db, "--status", "error") == ["error-6"]

    exit_code, shown = kern(shared_db, "retry", "completed-7", "error-6", "unknown", "error-6")
    assert exit_code == 1
    assert "Error: Run completed-7 is COMPLETED, not ERROR.\n" in shown
    assert "Error: There is no run 'unknown' in " in shown
    assert "error-6 is PENDING: a worker that serves the agent b goes on with it\n" in shown
    assert shown.count("\n") == 3
    assert of(shared_db, "--status", "error") == []


def test_named_runs_are_only_counted_in_a_dry_run(shared_db: Database) -> None:
    prepare(shared_db, some)
    exit_code, shown = kern(shared_db, "cancel", "running-2", "completed-7", "unknown", "--dry-run")
    assert exit_code == 1
    assert sorted(shown.splitlines()) == [
        "1 run (1 RUNNING) would be cancelled",
        "Error: There is no run 'unknown'.",
        "completed-7 is COMPLETED",
    ]
    assert of(shared_db, "--status", "running") == ["running-2"]


def test_what_was_done_is_json(shared_db: Database) -> None:
    prepare(shared_db, some)
    told: dict[str, Any] = json.loads(
        kern(shared_db, "cancel", "--agent", "b", "--yes", "--json")[1]
    )
    run = {"run_id": "pending-1", "status": "CANCELLED", "changed": True}
    assert told == {"dry_run": False, "runs": [run]}
    told = json.loads(kern(shared_db, "retry", "--agent", "b", "--dry-run", "--json")[1])
    assert told["dry_run"]
    assert [each["run_id"] for each in told["runs"]] == ["error-5", "error-6"]
    assert {each["status"] for each in told["runs"]} == {"ERROR"}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["cancel"], "Which runs are to be cancelled? Name them, or choose"),
        (["retry"], "Which runs are to be retried? Name them, or choose"),
        (["cancel", "run", "--agent", "a"], "not both"),
        (["cancel", "--status", "completed"], "A run that is COMPLETED cannot be cancelled"),
        (["retry", "--status", "running"], "A run that is RUNNING cannot be retried: only one"),
        (["cancel", "--since", "soon"], "--since must be a number and a unit"),
        (["retry", "--until", "1y"], "--until must be a number and a unit"),
        (["cancel", "--agent", ""], "--agent"),
        (["cancel", "\x01"], "RUN"),
        (["list", "--until", "\x1b[2J"], "--until"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    sqlite_db: Database, command: list[str], words: str
) -> None:
    prepare(sqlite_db, Store.load)
    exit_code, shown = kern(sqlite_db, *command)
    assert (exit_code, shown.count("\n"), "\x1b" in shown) == (1, 1, False)
    assert shown.startswith("Error: ")
    assert words in shown


def test_thousands_are_changed_page_by_page(sqlite_db: Database) -> None:
    async def thousands(store: Store) -> None:
        await execute(
            store,
            "INSERT INTO {runs} (run_id, session_id, agent_id, status, input, due_at, created_at) "
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
            "WHERE n < 1300) SELECT 'run-' || n, 's', 'agent', 'PENDING', '1', :now, :now "
            "FROM numbers",
        )

    prepare(sqlite_db, thousands)
    assert kern(sqlite_db, "cancel", "--agent", "agent", "--dry-run") == (
        0,
        "1,300 runs (1,300 PENDING) would be cancelled\n",
    )
    exit_code, shown = kern(sqlite_db, "cancel", "--agent", "agent", "--limit", "1100", "--yes")
    assert (exit_code, shown.splitlines()[-1]) == (0, "1,100 runs cancelled")
    assert shown.splitlines()[0] == "run-201 is cancelled"
    assert len(of(sqlite_db, "--status", "pending", "--limit", "2000")) == 200


def test_a_users_name_for_a_session_chooses_the_users_own(shared_db: Database) -> None:
    async def the_same_name(store: Store) -> None:
        for user in ("ann", "bob"):
            run = new_run(user, session_id="chat", user_id=user, chosen=("session_id",))
            await store.submit(await store.users.place(run))

    prepare(shared_db, the_same_name)
    for command in ("list", "cancel"):
        choice = ("--session", "chat", "--user", "bob", "--json")
        exit_code, shown = kern(shared_db, command, *choice, *["--yes"] * (command == "cancel"))
        assert exit_code == 0, shown
        assert "bob" in shown
        assert "ann" not in shown
