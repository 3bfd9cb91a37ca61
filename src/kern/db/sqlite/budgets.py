"""Budgets in SQLite, an operation a transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime

from typing_extensions import override

from kern.db.budgets import EVERYBODY, BudgetRow, Budgets, moment_of, spending_in
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.tables import Tables
from kern.run.budget import PERIODS, Budget, Period, Spending, period_at
from kern.run.record import JournalRow

_COLUMNS = "user_id, per, cost, tokens, starts_at, used_cost, used_tokens"

_IS_LIMIT = "(cost IS NOT NULL OR tokens IS NOT NULL)"


def is_budgeted(tables: Tables) -> str:
    """Return the condition that the user of a row of the runs has a budget."""
    user_id = f"{tables.runs}.user_id"
    return (
        f"({user_id} IS NOT NULL AND EXISTS (SELECT 1 FROM {tables.budgets} AS budget "
        f"WHERE budget.user_id IN ({user_id}, '')))"
    )


class Spendings:
    """What is used of budgets, within the transactions of runs."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._budgets, self._runs, self._journal = tables.budgets, tables.runs, tables.journal

    def of(self, transaction: Transaction, user_id: str) -> list[Spending]:
        """See :meth:`kern.db.budgets.Budgets.spending`."""
        rows = transaction.execute(
            f"SELECT {_COLUMNS} FROM {self._budgets} WHERE user_id IN (:user_id, '')",
            user_id=user_id,
        )
        now = datetime.fromtimestamp(transaction.now, UTC)
        return spending_in(map(_row, rows), user_id, now)

    def charge(self, transaction: Transaction, rows: Sequence[JournalRow]) -> None:
        """Count what rows have used that are about to be written, but for those there are."""
        for row in rows:
            if not (row.cost or row.tokens) or transaction.one(
                f"SELECT 1 FROM {self._journal} WHERE run_id = :run_id AND seq = :seq",
                run_id=row.run_id,
                seq=row.seq,
            ):
                continue
            for found in transaction.execute(
                f"SELECT DISTINCT run.user_id, per FROM {self._runs} AS run "
                f"JOIN {self._budgets} AS budget ON budget.user_id IN (run.user_id, '') "
                "WHERE run.run_id = :run_id AND run.user_id IS NOT NULL",
                run_id=row.run_id,
            ).fetchall():
                self._add(transaction, found["user_id"], found["per"], row)

    def _add(self, transaction: Transaction, user_id: str, per: Period, row: JournalRow) -> None:
        began, _ = period_at(datetime.fromtimestamp(transaction.now, UTC), per)
        kept = "CASE WHEN starts_at >= :starts_at THEN {} ELSE 0 END"
        transaction.execute(
            f"INSERT INTO {self._budgets} (user_id, per, starts_at, used_cost, used_tokens) "
            "VALUES (:user_id, :per, :starts_at, :cost, :tokens) "
            "ON CONFLICT (user_id, per) DO UPDATE SET "
            f"used_cost = :cost + {kept.format('used_cost')}, "
            f"used_tokens = :tokens + {kept.format('used_tokens')}, "
            "starts_at = max(coalesce(starts_at, 0), :starts_at)",
            user_id=user_id,
            per=per,
            starts_at=began.timestamp(),
            cost=row.cost,
            tokens=row.tokens,
        )


class SqliteBudgets(Budgets):
    """The budgets beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = file.tables.budgets
        self._spendings = Spendings(file.tables)

    @override
    async def put(self, budget: Budget) -> None:
        await self._file.write(self._put, budget)

    @override
    async def delete(self, user_id: str | None, per: Period) -> bool:
        return await self._file.write(self._delete, user_id or EVERYBODY, per)

    @override
    async def find(self, user_id: str | None = None) -> list[Budget]:
        return await self._file.read(self._find, user_id)

    @override
    async def spending(self, user_id: str) -> list[Spending]:
        return await self._file.read(self._spendings.of, user_id)

    def _put(self, transaction: Transaction, budget: Budget) -> None:
        transaction.execute(
            f"INSERT INTO {self._table} (user_id, per, cost, tokens) "
            "VALUES (:user_id, :per, :cost, :tokens) ON CONFLICT (user_id, per) "
            "DO UPDATE SET cost = :cost, tokens = :tokens",
            user_id=budget.user_id or EVERYBODY,
            per=budget.per,
            cost=budget.cost,
            tokens=budget.tokens,
        )

    def _delete(self, transaction: Transaction, user_id: str, per: Period) -> bool:
        # What was used counts towards everybody's then, where there is one.
        everybodys = user_id != EVERYBODY and transaction.one(
            f"SELECT 1 FROM {self._table} WHERE user_id = '' AND per = :per", per=per
        )
        change = "UPDATE {} SET cost = NULL, tokens = NULL" if everybodys else "DELETE FROM {}"
        deleted = transaction.execute(
            f"{change.format(self._table)} WHERE user_id = :user_id AND per = :per AND {_IS_LIMIT}",
            user_id=user_id,
            per=per,
        ).rowcount
        if user_id == EVERYBODY:
            transaction.execute(
                f"DELETE FROM {self._table} WHERE per = :per AND NOT {_IS_LIMIT}", per=per
            )
        return deleted > 0

    def _find(self, transaction: Transaction, user_id: str | None) -> list[Budget]:
        rows = transaction.execute(
            f"SELECT {_COLUMNS} FROM {self._table} "
            f"WHERE {_IS_LIMIT} AND (:user_id IS NULL OR user_id = :user_id)",
            user_id=user_id,
        )
        found = sorted(map(_row, rows), key=lambda row: (row.user_id, PERIODS.index(row.per)))
        return [row.budget for row in found]


def _row(row: Sequence[object]) -> BudgetRow:
    found = BudgetRow(*row)  # type: ignore[arg-type] # as the table has them
    return found._replace(starts_at=moment_of(row[4]))  # type: ignore[arg-type] # seconds
