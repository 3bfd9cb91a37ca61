"""The webhooks that are to be sent, in SQLite."""

from datetime import datetime

from typing_extensions import override

from kern.db.outbox import Delivery, Outbox
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment


class SqliteOutbox(Outbox):
    """The outbox beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._webhooks = file.tables.webhooks

    @override
    async def take(self, limit: int, lease: float) -> list[Delivery]:
        return await self._file.write(self._take, limit, lease)

    @override
    async def delivered(self, delivery: Delivery) -> None:
        await self._file.write(self._delivered, delivery)

    @override
    async def failed(self, delivery: Delivery, error: str, delay: float | None) -> None:
        await self._file.write(self._failed, delivery, error, delay)

    @override
    async def next_at(self) -> datetime | None:
        return await self._file.read(self._next_at)

    def _take(self, transaction: Transaction, limit: int, lease: float) -> list[Delivery]:
        rows = transaction.execute(
            f"SELECT delivery_id, run_id, attempt, tries FROM {self._webhooks} "
            "WHERE due_at <= :now ORDER BY due_at LIMIT :limit",
            limit=limit,
        ).fetchall()
        for row in rows:
            transaction.execute(
                f"UPDATE {self._webhooks} SET due_at = :now + :lease "
                "WHERE delivery_id = :delivery_id",
                delivery_id=row["delivery_id"],
                lease=lease,
            )
        return [Delivery(*row) for row in rows]

    def _delivered(self, transaction: Transaction, delivery: Delivery) -> None:
        transaction.execute(
            f"UPDATE {self._webhooks} SET delivered_at = :now, due_at = NULL, error = NULL "
            "WHERE delivery_id = :delivery_id AND due_at IS NOT NULL",
            delivery_id=delivery.delivery_id,
        )

    def _failed(
        self, transaction: Transaction, delivery: Delivery, error: str, delay: float | None
    ) -> None:
        # A try that took too long may be followed by another already, which alone counts.
        transaction.execute(
            f"UPDATE {self._webhooks} SET tries = tries + 1, error = :error, "
            "due_at = :now + :delay, given_up_at = CASE WHEN :delay IS NULL THEN :now END "
            "WHERE delivery_id = :delivery_id AND due_at IS NOT NULL AND tries = :tries",
            delivery_id=delivery.delivery_id,
            tries=delivery.tries,
            error=error,
            delay=delay,
        )

    def _next_at(self, transaction: Transaction) -> datetime | None:
        row = transaction.one(
            f"SELECT min(due_at) AS due_at FROM {self._webhooks} WHERE due_at IS NOT NULL"
        )
        return moment(row["due_at"]) if row else None
