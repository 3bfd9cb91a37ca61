"""What a database answers users who ask it for approvals, and what follows for the runs."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from stores import CLAIM, ending, new_run, row, same

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.db.sqlite import AsyncSqliteDb, SqliteDb
from kern.errors import InvalidInputError, RunStateError
from kern.run.approval import Approval
from kern.run.base import RunStatus

AnyDb = SqliteDb | PostgresDb


def asked(approval_id: str = "a", run_id: str = "run", **columns: Any) -> Approval:
    values = {"tool_name": "pay", "tool_args": '{"amount":5}', "agent_id": "agent"}
    return Approval(id=approval_id, run_id=run_id, **values | columns)


async def begin(store: Store, run_id: str = "run", **changes: Any) -> None:
    await store.submit(new_run(run_id, **changes))
    assert await store.claim(run_id, CLAIM)


async def pause(store: Store, approvals: Sequence[Approval], attempt: int = 1) -> None:
    paused = replace(ending("run", attempt, RunStatus.paused), approvals=tuple(approvals))
    settled = await store.settle(paused)
    assert settled
    assert settled.status is RunStatus.paused


async def status(store: Store) -> str:
    return str((await row(store))["status"])


def test_an_approval_is_kept_found_changed_once_and_deleted(db: AnyDb) -> None:
    made = db.create_approval(
        {
            "id": "mine",
            "run_id": "run",
            "tool_name": "pay",
            "tool_args": {"amount": 5, "to": "\x00 and \ud800"},
            "user_id": "ada",
            "context": {"tool_names": ["pay"]},
            "expires_at": 4_000_000_000,
            "strict": True,
        }
    )
    assert made == db.get_approval("mine")
    assert (made["status"], made["approval_type"]) == ("pending", "required")
    assert made["tool_args"] == {"amount": 5, "to": "\x00 and \ud800"}
    assert made["strict"] is True
    assert made["expires_at"] == 4_000_000_000
    assert abs(made["created_at"] - time.time()) < 60

    resolved = db.update_approval(
        "mine",
        expected_status="pending",
        status="approved",
        resolved_by="boss",
        resolved_at=int(time.time()),
        resolution_data={"note": "Fine."},
    )
    assert resolved is not None
    assert (resolved["status"], resolved["resolved_by"]) == ("approved", "boss")
    assert resolved["resolution_data"] == {"note": "Fine."}
    assert isinstance(resolved["resolved_at"], int)
    assert db.update_approval("mine", expected_status="pending", status="rejected") is None
    assert db.get_approval("mine") == resolved
    assert db.delete_approval("mine") is True
    assert db.delete_approval("mine") is False
    assert db.get_approval("mine") is None
    assert db.update_approval("mine", status="approved") is None


def test_approvals_are_listed_the_last_made_first_by_what_is_asked_for(db: AnyDb) -> None:
    for number in range(5):
        db.create_approval(
            {
                "id": str(number),
                "run_id": f"run {number % 2}",
                "created_at": 1000 + number,
                "agent_id": "even" if number % 2 == 0 else "odd",
                "user_id": "ada" if number < 3 else None,
                "approval_type": "audit" if number == 4 else "required",
                "status": "approved" if number == 4 else "pending",
                "pause_type": "user_input" if number == 0 else "confirmation",
                "source_type": "team" if number == 0 else "agent",
                "team_id": "team" if number == 0 else None,
            }
        )

    def found(**wanted: Any) -> tuple[str, int]:
        approvals, total = db.get_approvals(**wanted)
        return "".join(each["id"] for each in approvals), total

    assert found() == ("43210", 5)
    assert found(limit=2) == ("43", 5)
    assert found(limit=2, page=3) == ("0", 5)
    assert found(status="pending") == ("3210", 4)
    assert found(approval_type="audit") == ("4", 1)
    assert found(pause_type="user_input") == ("0", 1)
    assert found(source_type="team") == ("0", 1)
    assert found(team_id="team") == ("0", 1)
    assert found(agent_id="odd") == ("31", 2)
    assert found(run_id="run 1", status="pending") == ("31", 2)
    assert found(user_id="ada") == ("210", 3)
    assert found(user_id="eve") == ("", 0)
    assert db.get_pending_approval_count() == 4
    assert db.get_pending_approval_count("ada") == 3


def test_who_names_a_user_meets_only_what_is_that_users(db: AnyDb) -> None:
    db.create_approval({"id": "adas", "run_id": "run", "user_id": "ada"})
    db.create_approval({"id": "nobodys", "run_id": "run"})
    assert db.get_approval("adas", user_id="eve") is None
    assert db.update_approval("adas", user_id="eve", status="approved") is None
    assert db.delete_approval("adas", user_id="eve") is False
    for user in (None, "ada"):
        found = db.get_approval("adas", user)
        assert found
        assert found["status"] == "pending"
    assert db.get_approval("nobodys", "eve")


def test_what_was_resolved_is_not_resolved_otherwise(db: AnyDb) -> None:
    db.create_approval({"id": "a", "run_id": "run"})
    assert db.update_approval("a", status="rejected", resolved_by="ada")
    with pytest.raises(RunStateError, match=r"a was rejected by ada at \d{4}-"):
        db.update_approval("a", status="approved")
    again = db.update_approval("a", status="rejected", context={"ticket": 1})
    assert again
    assert (again["status"], again["resolved_by"]) == ("rejected", "ada")
    assert again["context"] == {"ticket": 1}


def test_what_nobody_has_decided_in_time_is_expired(db: AnyDb) -> None:
    db.create_approval({"id": "a", "run_id": "run", "expires_at": time.time() - 1})
    assert db.update_approval("a", expected_status="pending", status="approved") is None
    with pytest.raises(RunStateError, match="a is expired at"):
        db.update_approval("a", status="approved")
    expired = db.update_approval("a", status="expired")
    assert expired
    assert expired["status"] == "expired"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "allowed"}, "status must be one of pending, approved"),
        ({"resolved_at": "now"}, "resolved_at must be seconds since 1970"),
        ({"resolved_at": float("nan")}, "resolved_at must be seconds since 1970"),
        ({"resolved_at": datetime(2026, 1, 1)}, "a datetime with a time zone"),  # on purpose
        ({"resolution_data": {"values": {1, 2}}}, "resolution_data has no JSON form"),
        ({"resolved_by": "\x00"}, "resolved_by"),
        ({"resolved_by": "x" * 1000}, "resolved_by"),
    ],
)
def test_a_value_that_cannot_be_used_changes_nothing(
    fields: dict[str, Any], told: str, sqlite_db: SqliteDb
) -> None:
    sqlite_db.create_approval({"id": "a", "run_id": "run"})
    before = sqlite_db.get_approval("a")
    with pytest.raises(InvalidInputError, match=told):
        sqlite_db.update_approval("a", **fields)
    assert sqlite_db.get_approval("a") == before


def test_a_wrong_field_is_explained(sqlite_db: SqliteDb) -> None:
    sqlite_db.create_approval({"id": "a", "run_id": "run"})
    with pytest.raises(TypeError, match="Did you mean 'resolved_by'"):
        sqlite_db.update_approval("a", resolvedby="ada")  # type: ignore[call-arg] # on purpose
    with pytest.raises(InvalidInputError, match="Did you mean 'run_id'"):
        sqlite_db.create_approval({"runid": "run"})
    with pytest.raises(InvalidInputError, match="needs the run_id"):
        sqlite_db.create_approval({})
    with pytest.raises(InvalidInputError, match="Choose another id"):
        sqlite_db.create_approval({"id": "a", "run_id": "run"})
    with pytest.raises(InvalidInputError, match="Pass a dict"):
        sqlite_db.create_approval([])  # type: ignore[arg-type] # on purpose


async def test_the_methods_of_an_asynchronous_database_are_awaited(
    postgres_db: PostgresDb, tmp_path: Any, table: str
) -> None:
    for db in (AsyncPostgresDb(postgres_db._dsn, table), AsyncSqliteDb(tmp_path / "kern.db")):
        await db.create_approval({"id": "a", "run_id": "run"})
        assert (await db.get_approvals(status="pending"))[1] == 1
        assert await db.get_pending_approval_count() == 1
        assert await db.update_approval("a", "pending", status="approved")
        assert (await db.get_approval("a") or {})["status"] == "approved"
        assert await db.delete_approval("a")
        await db.aclose()


async def test_a_pause_makes_its_records_and_a_resolution_has_the_run_go_on(store: Store) -> None:
    await begin(store, metadata='{"who":"me"}')
    await pause(store, [asked("a"), asked("b")])
    found = await store.approvals.get("a")
    assert found
    assert (found.status, found.run_status) == ("pending", "PAUSED")
    resolved = await store.approvals.update("a", "pending", {"status": "approved"})
    assert resolved
    assert (resolved.status, resolved.run_status) == ("approved", "PENDING")
    assert abs((resolved.resolved_at or 0) - datetime.now(UTC).timestamp()) < 60
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.attempt == 2
    assert '"who":"me"' in (claimed.metadata or "")
    assert '"approval":{"id":"a"' in (claimed.metadata or "")

    # The other one is resolved while the run executes, and asks for it again after that.
    assert await store.approvals.update("b", "pending", {"status": "rejected"})
    assert await status(store) == "RUNNING"
    await pause(store, [asked("b")], attempt=2)
    assert await status(store) == "PENDING", "what was resolved meanwhile is not waited for"
    assert await store.claim("run", CLAIM)
    # It knows of that by now, and waits for something else.
    await pause(store, [asked("b", status="rejected"), asked("c")], attempt=3)
    assert await status(store) == "PAUSED"


async def test_a_run_in_the_foreground_is_for_its_caller_to_continue(store: Store) -> None:
    await begin(store, foreground=True)
    await pause(store, [asked()])
    assert await store.approvals.update("a", "pending", {"status": "approved"})
    found = await row(store)
    assert found["status"] == "PAUSED"
    assert '"approval":{"id":"a"' in str(found["metadata"])


async def test_a_stale_attempt_makes_no_records(store: Store) -> None:
    await begin(store)
    stale = replace(ending("run", 7, RunStatus.paused), approvals=(asked(),))
    assert await store.settle(stale) is None
    assert await store.approvals.get("a") is None


@pytest.mark.parametrize("executes", [True, False])
async def test_a_cancel_takes_what_was_asked_for_back(store: Store, executes: bool) -> None:
    await begin(store)
    await pause(store, [asked("a"), asked("b"), asked("c")])
    assert await store.approvals.update("a", "pending", {"status": "approved"})
    if executes:
        assert await store.claim("run", CLAIM)
    assert await store.cancel("run")
    for approval_id, expected in (("a", "approved"), ("b", "cancelled")):
        found = await store.approvals.get(approval_id)
        assert found
        assert found.status == expected
    assert await store.approvals.update("b", "pending", {"status": "approved"}) is None
    with pytest.raises(RunStateError, match="was cancelled"):
        await store.approvals.update("c", None, {"status": "approved"})


async def test_a_cancelled_run_that_would_pause_makes_no_records(store: Store) -> None:
    await begin(store)
    await store.cancel("run")
    settled = await store.settle(replace(ending("run", 1, RunStatus.paused), approvals=(asked(),)))
    assert settled
    assert settled.status is RunStatus.cancelled
    assert await store.approvals.get("a") is None


async def test_approvals_go_with_their_run_and_their_user(store: Store) -> None:
    await begin(store, user_id="ada")
    await pause(store, [asked("a", user_id="ada"), asked("b")])
    await store.approvals.put(asked("c", "elsewhere", user_id="ada"))
    await store.approvals.put(asked("d", "elsewhere", user_id="eve"))
    exported = [each async for each in store.users.export("ada")]
    approvals = {each["id"]: each for each in exported if each["kind"] == "approval"}
    assert approvals.keys() == {"a", "b", "c"}
    assert approvals["a"]["tool_args"] == {"amount": 5}
    assert approvals["a"]["strict"] is False
    await store.users.erase("ada", store.cancel, 5)
    assert [await store.approvals.get(each) is None for each in "abcd"] == [True] * 3 + [False]


async def test_approvals_of_a_run_are_pruned_with_it(store: Store) -> None:
    await begin(store)
    await pause(store, [asked()])
    await store.cancel("run")
    assert (await store.retention.prune(datetime.max.replace(tzinfo=UTC), 0, 100)).runs == 1
    assert await store.approvals.get("a") is None


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
async def test_of_two_who_decide_at_once_one_counts(
    kind: str, request: pytest.FixtureRequest
) -> None:
    db: Database = request.getfixturevalue(f"{kind}_db")
    other = same(db)
    stores = [await db.store(), await other.store()]
    await begin(stores[0])
    await pause(stores[0], [asked(f"{number}") for number in range(10)])
    for number in range(10):
        answers = await asyncio.gather(
            stores[0].approvals.update(
                f"{number}", "pending", {"status": "approved", "resolved_by": "ada"}
            ),
            stores[1].approvals.update(
                f"{number}", "pending", {"status": "rejected", "resolved_by": "eve"}
            ),
        )
        [first] = [each for each in answers if each is not None]
        stored = await stores[0].approvals.get(f"{number}")
        assert stored
        assert (stored.status, stored.resolved_by) == (first.status, first.resolved_by)
    await other.aclose()
