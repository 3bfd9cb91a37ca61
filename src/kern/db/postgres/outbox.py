"""The outbox of webhooks in PostgreSQL."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
from typing_extensions import override

from kern.db.outbox import Delivery, Outbox
from kern.db.postgres.names import Names

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


class PostgresOutbox(Outbox):
    """The outbox beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table = names.webhooks
        self._take = f"""
WITH due AS MATERIALIZED (
    SELECT delivery_id, due_at FROM {table} WHERE due_at <= now()
    ORDER BY due_at, delivery_id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    UPDATE {table} AS webhook SET due_at = now() + make_interval(secs => $2) FROM due
    WHERE webhook.delivery_id = due.delivery_id
    RETURNING webhook.delivery_id, run_id, attempt, tries, due.due_at AS was_due_at
)
SELECT delivery_id, run_id, attempt, tries FROM taken ORDER BY was_due_at, delivery_id"""
        self._delivered = f"""
UPDATE {table} SET delivered_at = now(), due_at = NULL, error = NULL
WHERE delivery_id = $1 AND delivered_at IS NULL AND given_up_at IS NULL"""
        # A try that took too long may be followed by another already, which alone counts.
        self._failed = f"""
UPDATE {table} SET tries = tries + 1, error = $3,
    due_at = now() + make_interval(secs => $4),
    given_up_at = CASE WHEN $4::float8 IS NULL THEN now() END
WHERE delivery_id = $1 AND tries = $2 AND due_at IS NOT NULL"""
        self._next_at = f"SELECT min(due_at) AS next_at FROM {table} WHERE due_at IS NOT NULL"

    @override
    async def take(self, limit: int, lease: float) -> list[Delivery]:
        return [Delivery(*row) for row in await self._fetch(self._take, limit, lease)]

    @override
    async def delivered(self, delivery: Delivery) -> None:
        await self._fetch(self._delivered, delivery.delivery_id)

    @override
    async def failed(self, delivery: Delivery, error: str, delay: float | None) -> None:
        await self._fetch(self._failed, delivery.delivery_id, delivery.tries, error, delay)

    @override
    async def next_at(self) -> datetime | None:
        next_at: datetime | None = (await self._fetch(self._next_at))[0]["next_at"]
        return next_at
