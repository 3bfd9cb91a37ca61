"""How a database keeps budgets, and counts what users use of them."""

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from msgspec.structs import replace
from stores import CLAIM, LOST, OPEN, Spawn, address, ending, new_run, same, sweep

from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres import schema as postgres_schema
from kern.db.postgres.migrations import MIGRATIONS
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite import SqliteDb
from kern.db.sqlite import schema as sqlite_schema
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.store import SqliteStore
from kern.errors import BudgetExceededError
from kern.local.postgres import EmbeddedPostgres
from kern.run.budget import PERIODS, Budget, Period, period_at
from kern.run.record import JournalRow


@pytest.fixture(autouse=True)
def _within_an_hour() -> None:
    """Have no test see the end of an hour, with which counts begin anew."""
    left = 3600 - time.time() % 3600
    if left < 20:
        time.sleep(left)


def used(seq: int, cost: float, tokens: int = 0, run_id: str = "run") -> JournalRow:
    """Return a row that is charged."""
    return JournalRow(run_id, seq, seq, "ModelAnswered", False, "{}", cost=cost, tokens=tokens)


async def begin(store: Store, run_id: str = "run", user_id: str | None = "alice") -> None:
    """Have a run of a user execute."""
    await store.submit(new_run(run_id, session_id=run_id, user_id=user_id))
    assert await store.claim(run_id, CLAIM) is not None


async def spent(store: Store, user_id: str = "alice") -> list[tuple[Period, float, int]]:
    """Return what a user has used."""
    found = await store.budgets.spending(user_id)
    return [(each.budget.per, each.cost, each.tokens) for each in found]


async def test_budgets_are_set_listed_and_deleted(db: Database) -> None:
    budgets = [
        Budget(per="month", cost=1.5),
        Budget("alice", "hour", tokens=7),
        Budget("alice", "day", cost=2, tokens=9),
    ]
    for budget in reversed(budgets):
        await db.aset_budget(budget)
    assert await db.alist_budgets() == budgets
    await db.aset_budget(Budget("alice", "hour", cost=3))
    assert (await db.alist_budgets())[1] == Budget("alice", "hour", cost=3)
    assert await db.adelete_budget("alice", "hour")
    assert not await db.adelete_budget("alice", "hour")
    assert await db.adelete_budget(None, "month")
    assert await db.alist_budgets() == budgets[2:]


async def test_a_users_own_budget_holds_in_the_place_of_everybodys(db: Database) -> None:
    for budget in (Budget(cost=1), Budget("alice", cost=5), Budget(per="month", cost=9)):
        await db.aset_budget(budget)
    held = [each.budget for each in await db.aget_spending("alice")]
    assert held == [Budget("alice", cost=5), Budget(per="month", cost=9)]
    held = [each.budget for each in await db.aget_spending("bob")]
    assert held == [Budget(cost=1), Budget(per="month", cost=9)]


async def test_what_rows_have_used_is_counted_once(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", "day", cost=5))
    await db.aset_budget(Budget(per="hour", tokens=1000))
    await begin(store)
    for _ in range(2):  # The answer to the first may have been lost.
        assert await store.append("run", 1, [used(1, 0.5, 10), used(2, 0.25, 20)], False)
    assert await store.append("run", 1, [used(2, 0.25, 20), used(3, 1, 1)], False)
    settlement = replace(ending(), journal=(used(3, 1, 1), used(4, 2, 9)))
    assert await store.settle(settlement) is not None
    assert await store.settle(settlement) is None
    assert await spent(store) == [("hour", 3.75, 40), ("day", 3.75, 40)]
    assert await spent(store, "bob") == [("hour", 0, 0)]


async def test_what_a_failed_attempt_has_used_is_counted(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    await begin(store)
    await store.postpone("run", 1, 60, [used(1, 0.5, 10)])
    assert await spent(store) == [("day", 0.5, 10)]


async def test_a_stale_attempt_is_charged_nothing(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    await store.submit(new_run(user_id="alice"))
    await store.claim("run", LOST)
    await sweep(store)
    await sweep(store)
    assert await store.claim("run", CLAIM) is not None
    assert not await store.append("run", 1, [used(1, 0.5, 10)], False)
    assert await store.settle(replace(ending(), journal=(used(1, 0.5, 10),))) is None
    assert await spent(store) == [("day", 0, 0)]


async def test_a_stale_attempt_is_charged_nothing_beside_the_current_one(
    db: Database, store: Store
) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    await store.submit(new_run(user_id="alice"))
    await store.claim("run", LOST)
    await sweep(store)
    await sweep(store)
    assert await store.claim("run", CLAIM) is not None
    # They are written at once, so a database may have them in one batch.
    appended = await asyncio.gather(
        store.append("run", 1, [used(1, 4, 400)], False),
        store.append("run", 2, [used(1, 0.5, 10)], False),
    )
    assert [each is not None for each in appended] == [False, True]
    assert await spent(store) == [("day", 0.5, 10)]
    settled = await asyncio.gather(
        store.settle(replace(ending(), journal=(used(2, 4, 400),))),
        store.settle(replace(ending(), attempt=2, journal=(used(2, 0.25, 5),))),
    )
    assert [each is not None for each in settled] == [False, True]
    assert await spent(store) == [("day", 0.75, 15)]


async def test_runs_of_nobody_and_of_users_without_a_budget_count_nothing(
    db: Database, store: Store
) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    await begin(store, "nobody's", None)
    await begin(store, "bob's", "bob")
    for run_id in ("nobody's", "bob's"):
        assert await store.append(run_id, 1, [used(1, 0.5, 10, run_id)], False)
    assert await spent(store) == [("day", 0, 0)]
    assert await spent(store, "bob") == []


async def test_a_run_says_whether_its_user_has_a_budget(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    for user_id, budgeted in (("alice", True), ("bob", False), (None, False)):
        run_id = f"run of {user_id}"
        run = new_run(run_id, user_id=user_id, session_id=run_id, lease=60.0, executor="executor")
        accepted = await store.submit(run)
        assert accepted is not None
        assert accepted.budgeted is budgeted
        held = await store.held(run_id, "executor")
        assert held is not None
        assert held.budgeted is budgeted
        await store.submit(replace(run, run_id="2" + run_id, lease=None))
        claimed = await store.claim("2" + run_id, CLAIM)
        assert claimed is not None
        assert claimed.budgeted is budgeted


async def test_a_submit_over_the_budget_is_refused_and_says_why(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", "month", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    with pytest.raises(BudgetExceededError) as raised:
        await store.submit(new_run("refused", user_id="alice"))
    error = raised.value
    assert (error.user_id, error.per, error.limit) == ("alice", "month", "cost=2")
    assert error.resets_at == period_at(datetime.now(UTC), "month")[1]
    for text in ("'alice'", "$2", "cost=2 per month", f"{error.resets_at:%Y-%m-%d %H:%M} UTC"):
        assert text in str(error)
    assert await store.get("refused") is None
    assert await store.submit(new_run("bob's", user_id="bob")) is not None
    assert await store.submit(new_run("nobody's")) is not None
    with pytest.raises(BudgetExceededError):
        await store.fork(new_run("fork", user_id="alice"), "run", 1)
    await db.aset_budget(Budget("alice", "month", cost=3))
    assert await store.submit(new_run("refused", user_id="alice")) is not None


async def test_a_budget_of_tokens_refuses_as_well(db: Database, store: Store) -> None:
    await db.aset_budget(Budget(per="week", tokens=100))
    await begin(store)
    await store.append("run", 1, [used(1, 0, 100)], False)
    with pytest.raises(BudgetExceededError, match=r"100 tokens.*tokens=100"):
        await store.submit(new_run("refused", user_id="alice"))


async def test_a_submit_that_was_accepted_before_is_not_refused(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    assert await store.submit(new_run(user_id="alice", session_id="run")) is None


async def test_of_submits_at_once_only_those_over_the_budget_are_refused(
    db: Database, store: Store
) -> None:
    await db.aset_budget(Budget("alice", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    answers = await asyncio.gather(
        *(
            store.submit(new_run(f"{user} {number}", user_id=user))
            for number in range(5)
            for user in ("alice", "bob", None)
        ),
        return_exceptions=True,
    )
    assert [isinstance(each, BudgetExceededError) for each in answers] == [True, False, False] * 5


async def test_in_a_callers_transaction_it_is_refused_as_well(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    await postgres_db.aset_budget(Budget("alice", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    connection = await asyncpg.connect(postgres_db._dsn)
    try:
        async with connection.transaction():
            with pytest.raises(BudgetExceededError, match="refused"):
                await store.submit_with(connection, new_run("refused", user_id="alice"))
            assert await store.submit_with(connection, new_run(user_id="alice")) is None
            assert await store.submit_with(connection, new_run("bob's", user_id="bob"))
    finally:
        await connection.close()
    assert await store.get("refused") is None
    assert await store.get("bob's") is not None


async def test_a_transaction_that_does_not_see_that_there_is_room_now_ends_all_the_same(
    postgres_db: PostgresDb,
) -> None:
    store = await postgres_db.store()
    await postgres_db.aset_budget(Budget("alice", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    connection = await asyncpg.connect(postgres_db._dsn)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("SELECT 1 FROM pg_class LIMIT 1")
            await postgres_db.aset_budget(Budget("alice", cost=3))
            with pytest.raises(BudgetExceededError, match="a new transaction"):
                await store.submit_with(connection, new_run("refused", user_id="alice"))
    finally:
        await connection.close()


async def test_what_was_used_stays_when_a_budget_changes(db: Database, store: Store) -> None:
    await db.aset_budget(Budget(cost=1))
    await db.aset_budget(Budget("alice", cost=9))
    await begin(store)
    await store.append("run", 1, [used(1, 2)], False)
    assert await db.adelete_budget("alice")
    assert await spent(store) == [("day", 2, 0)], "towards everybody's"
    await db.aset_budget(Budget("alice", cost=3))
    assert await spent(store) == [("day", 2, 0)]
    await db.adelete_budget(None)
    assert await spent(store) == [("day", 2, 0)]
    await db.adelete_budget("alice")
    assert await spent(store) == []


async def test_without_everybodys_budget_nothing_is_kept_of_those_who_have_no_other(
    db: Database, store: Store
) -> None:
    await db.aset_budget(Budget(cost=1))
    await begin(store)
    await store.append("run", 1, [used(1, 0.5)], False)
    await db.adelete_budget(None)
    await db.aset_budget(Budget(cost=1))
    assert await spent(store) == [("day", 0, 0)]


async def test_the_count_begins_anew_with_the_period(postgres_db: PostgresDb) -> None:
    store = await postgres_db.store()
    assert isinstance(store, PostgresStore)
    for per in PERIODS:
        await postgres_db.aset_budget(Budget("alice", per, cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2, 7)], False)
    table = store.names.budgets
    rows = await store.pool.fetch(f"SELECT per, starts_at FROM {table}")
    now = datetime.now(UTC)
    assert {row["per"]: row["starts_at"] for row in rows} == {
        per: period_at(now, per)[0] for per in PERIODS
    }
    await store.pool.execute(f"UPDATE {table} SET starts_at = starts_at - interval '1 month'")
    assert {(cost, tokens) for _, cost, tokens in await spent(store)} == {(0, 0)}
    assert await store.submit(new_run("next", user_id="alice")) is not None
    await store.append("run", 1, [used(2, 0.5, 3)], False)
    assert {(cost, tokens) for _, cost, tokens in await spent(store)} == {(0.5, 3)}


async def test_periods_go_by_the_clock_of_the_file() -> None:
    shared = SqliteFile(":memory:", "runs", threaded=False)
    now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    shared.clock = lambda: now.timestamp()
    store = SqliteStore(shared)
    await store.open()
    await store.budgets.put(Budget("alice", "day", cost=2))
    await store.budgets.put(Budget("alice", "month", cost=2))
    await begin(store)
    await store.append("run", 1, [used(1, 2, 7)], False)
    with pytest.raises(BudgetExceededError, match="2027-01-01 00:00 UTC"):
        await store.submit(new_run("refused", user_id="alice"))
    now += timedelta(seconds=1)
    assert await spent(store) == [("day", 0, 0), ("month", 0, 0)]
    assert await store.submit(new_run("next", user_id="alice")) is not None
    await store.append("run", 1, [used(2, 0.5, 3)], False)
    assert await spent(store) == [("day", 0.5, 3), ("month", 0.5, 3)]
    await store.close()


@pytest.mark.parametrize(
    ("moment", "per", "began", "next_one"),
    [
        ("2026-11-26T03:30+00:00", "hour", "2026-11-26T03:00", "2026-11-26T04:00"),
        ("2026-11-26T03:30+00:00", "day", "2026-11-26T00:00", "2026-11-27T00:00"),
        ("2026-11-26T03:30+00:00", "week", "2026-11-23T00:00", "2026-11-30T00:00"),
        ("2026-11-26T03:30+00:00", "month", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("2024-02-29T23:59+00:00", "month", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("2026-12-31T23:59+00:00", "month", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("2026-01-01T00:00+02:00", "day", "2025-12-31T00:00", "2026-01-01T00:00"),
    ],
)
def test_a_period_is_one_of_utc(moment: str, per: Period, began: str, next_one: str) -> None:
    found = period_at(datetime.fromisoformat(moment), per)
    assert found == tuple(
        datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (began, next_one)
    )


CHARGE = f"""{OPEN}
import os, signal
from kern.run.record import JournalRow

async def main():
    store = await db.store()
    name = sys.stdin.readline().strip()
    for seq in range(1, 1000):
        row = JournalRow(name, seq, seq, "ModelAnswered", False, "{{}}", cost=1.0, tokens=3)
        assert await store.append(name, 1, [row], False)

asyncio.run(main())
"""


async def test_what_is_journaled_is_counted_though_processes_are_killed(
    shared_db: Database, spawn: Spawn
) -> None:
    await shared_db.aset_budget(Budget("alice", cost=1e6))
    store = await shared_db.store()
    names = ["first", "second"]
    for name in names:
        await begin(store, name)
    processes = [spawn(CHARGE, *address(shared_db)) for _ in names]
    for process, name in zip(processes, names, strict=True):
        assert process.stdin is not None
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
    async with asyncio.timeout(30):
        while (await spent(store))[0][1] < 40:  # noqa: ASYNC110 # other processes charge
            await asyncio.sleep(0.01)
    for process in processes:
        process.kill()
        await asyncio.to_thread(process.wait, 30)
    async with asyncio.timeout(30):
        # What was under way in the database when its client was killed may end later.
        while True:
            rows = sum([len(await store.events(name, 0)) for name in names])
            if await spent(store) == [("day", float(rows), 3 * rows)]:
                break
            await asyncio.sleep(0.1)
    assert rows >= 40


async def test_charges_of_many_users_at_once_lock_nobody_out(shared_db: Database) -> None:
    users = [f"user {number}" for number in range(5)]
    await shared_db.aset_budget(Budget(per="hour", cost=1e6))
    await shared_db.aset_budget(Budget(per="day", cost=1e6))
    store = await shared_db.store()
    stores = [store, *[await same(shared_db).store() for _ in range(2)]]
    for number, each in enumerate(stores):
        for user in users:
            await begin(each, f"{user} {number}", user)

    async def charge(number: int, each: Store) -> None:
        for seq in range(1, 11):
            order = users if (seq + number) % 2 else users[::-1]
            runs = [f"{user} {number}" for user in order]
            await asyncio.gather(
                *(each.append(run, 1, [used(seq, 1, 1, run)], False) for run in runs)
            )

    async with asyncio.timeout(50):
        await asyncio.gather(*(charge(number, each) for number, each in enumerate(stores)))
    for user in users:
        assert await spent(store, user) == [("hour", 30, 30), ("day", 30, 30)]


async def test_budgets_of_a_user_are_exported_and_erased(db: Database, store: Store) -> None:
    await db.aset_budget(Budget("alice", cost=5))
    await db.aset_budget(Budget(per="hour", tokens=100))
    await begin(store)
    await store.settle(replace(ending(), journal=(used(1, 0.5, 10),)))
    rows = [row async for row in db.aexport_user("alice") if row["kind"] == "budget"]
    assert [(row["per"], row["cost"], row["used_cost"]) for row in rows] == [
        ("day", 5.0, 0.5),
        ("hour", None, 0.5),
    ]
    erased = await db.adelete_user("alice")
    assert (erased.runs, erased.budgets) == (1, 2)
    assert await db.alist_budgets() == [Budget(per="hour", tokens=100)]
    assert await spent(store) == [("hour", 0, 0)]
    assert [row async for row in db.aexport_user("alice")] == []


async def test_tables_of_the_second_version_are_migrated(
    postgres: EmbeddedPostgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresDb(postgres.url, table, f"old_{table}")
    admin = await asyncpg.connect(postgres.url)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(postgres_schema, "MIGRATIONS", MIGRATIONS[:2])
            await postgres_schema.migrate(admin, database._names)
        await admin.execute(
            f"INSERT INTO {database._names.runs} (run_id, session_id, agent_id, user_id, status, "
            "input, due_at) VALUES ('run', 'session', 'agent', 'alice', 'PENDING', '{}', now())"
        )
    finally:
        await admin.close()
    assert (await database.version()).found == 2
    await _check_budgets_of(database)


@pytest.mark.usefixtures("table")  # So that it has no tables yet.
async def test_a_file_of_the_second_version_is_migrated(
    sqlite_db: SqliteDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sqlite_db.session_table
    with monkeypatch.context() as patch, closing(sqlite3.connect(sqlite_db._file.path)) as file:
        patch.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:2])
        sqlite_schema.migrate(file, table)
        file.executescript(
            f'INSERT INTO "{table}_runs" (run_id, session_id, agent_id, user_id, status, input, '
            "due_at, created_at) VALUES ('run', 'session', 'agent', 'alice', 'PENDING', '{}', 0, 0)"
        )
    assert (await sqlite_db.version()).found == 2
    await _check_budgets_of(sqlite_db)


async def _check_budgets_of(database: Database) -> None:
    store = await database.store()
    assert (await database.version()).found == (await database.version()).known
    await database.aset_budget(Budget("alice", cost=5))
    claimed = await store.claim("run", CLAIM)
    assert claimed is not None
    assert claimed.budgeted
    await store.append("run", 1, [used(1, 0.5, 10)], False)
    assert await spent(store) == [("day", 0.5, 10)]
