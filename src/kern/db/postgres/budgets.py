"""Budgets in PostgreSQL. What is used of them is counted by the statements of a run's steps."""

from collections.abc import Awaitable, Callable

import asyncpg
from typing_extensions import override

from kern.db.budgets import EVERYBODY, BudgetRow, Budgets, spending_in
from kern.db.postgres.names import Names
from kern.run.budget import Budget, Period, Spending

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = "user_id, per, cost, tokens, starts_at, used_cost, used_tokens"


class PostgresBudgets(Budgets):
    """The budgets beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table, is_limit = names.budgets, "(cost IS NOT NULL OR tokens IS NOT NULL)"
        self._put = f"""
INSERT INTO {table} (user_id, per, cost, tokens) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, per) DO UPDATE SET cost = excluded.cost, tokens = excluded.tokens"""
        # Where everybody's holds for the user then, what was used counts towards that; where
        # everybody's goes, nothing counts for those who have no other.
        self._delete = f"""
WITH everybodys AS (
    SELECT FROM {table} WHERE user_id = '' AND per = $2 AND $1 <> ''
), kept AS (
    UPDATE {table} SET cost = NULL, tokens = NULL
    WHERE user_id = $1 AND per = $2 AND {is_limit} AND EXISTS (SELECT FROM everybodys)
    RETURNING user_id
), gone AS (
    DELETE FROM {table}
    WHERE user_id = $1 AND per = $2 AND {is_limit} AND NOT EXISTS (SELECT FROM everybodys)
    RETURNING user_id
), counters AS (
    DELETE FROM {table} WHERE $1 = '' AND per = $2 AND user_id <> '' AND NOT {is_limit}
)
SELECT user_id FROM kept UNION ALL SELECT user_id FROM gone"""
        self._find = f"""
SELECT {_COLUMNS} FROM {table} WHERE {is_limit} AND ($1::text IS NULL OR user_id = $1)
ORDER BY user_id, array_position(ARRAY['hour', 'day', 'week', 'month'], per)"""
        self._spending = f"""
SELECT now() AS now, {_COLUMNS} FROM {table} WHERE user_id IN ($1, '')"""

    @override
    async def put(self, budget: Budget) -> None:
        user_id = budget.user_id or EVERYBODY
        await self._fetch(self._put, user_id, budget.per, budget.cost, budget.tokens)

    @override
    async def delete(self, user_id: str | None, per: Period) -> bool:
        return bool(await self._fetch(self._delete, user_id or EVERYBODY, per))

    @override
    async def find(self, user_id: str | None = None) -> list[Budget]:
        return [BudgetRow(*row).budget for row in await self._fetch(self._find, user_id)]

    @override
    async def spending(self, user_id: str) -> list[Spending]:
        rows = await self._fetch(self._spending, user_id)
        if not rows:
            return []
        return spending_in((BudgetRow(*row[1:]) for row in rows), user_id, rows[0]["now"])
