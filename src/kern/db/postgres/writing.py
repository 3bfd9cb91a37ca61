"""What attempts write: rows of their journals, and how they end; many in one statement."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import NamedTuple

import asyncpg

from kern.aio.batch import Batcher
from kern.db.postgres.approvals import PostgresApprovals
from kern.db.postgres.connections import Connections
from kern.db.postgres.hand_off import HandOff
from kern.db.postgres.names import Names
from kern.db.postgres.outbox import Fetch
from kern.db.postgres.rows import (
    are_charged,
    change_columns,
    journal_columns,
    lost_keys,
    settled_columns,
    used_columns,
)
from kern.db.postgres.statements import Steps
from kern.db.values import Appended, Settled
from kern.run.base import RunStatus
from kern.run.record import JournalRow, Settlement


class Append(NamedTuple):
    """Rows that an attempt adds to its journal; see :meth:`kern.db.base.Store.append`."""

    run_id: str
    attempt: int
    rows: Sequence[JournalRow]
    streamed: bool


class Writing:
    """Adds rows to journals, and settles runs.

    Attributes:
        appends: takes rows for journals.
    """

    def __init__(
        self,
        connections: Connections,
        names: Names,
        hand_off: HandOff,
        approvals: PostgresApprovals,
    ) -> None:
        """Write into the tables of ``names``."""
        self._connections = connections
        self._steps = Steps(names)
        self._hand_off = hand_off
        self._approvals = approvals
        self.appends = Batcher(
            partial(self.append_all, fetch=connections.fetch), size=_size_of_append
        )
        self._settles = Batcher(self._settle_all, size=_size_of_settlement)

    async def settle(self, settlement: Settlement) -> Settled | None:
        """See :meth:`kern.db.base.Store.settle`."""
        if settlement.approvals:
            return await self._settle_asking(settlement)
        return await self._settles.put(settlement)

    def _fetch(
        self,
        fetch: Fetch,
        statements: tuple[str, str, str],
        journal: Sequence[tuple[int, JournalRow]],
        *values: object,
    ) -> Awaitable[list[asyncpg.Record]]:
        """Send a statement with rows of journals.

        Args:
            fetch: sends it, perhaps as part of a transaction.
            statements: the plain one; that for rows that are charged; that for rows that change
                states, and may be charged.
            journal: the rows, each with its attempt.
            values: what else the statement takes.
        """
        plain, counting, changing = statements
        columns = journal_columns(journal)
        is_changing = any(row.state is not None for _, row in journal)
        if not is_changing and not are_charged(journal):
            return fetch(plain, *values, *columns)
        used = used_columns([row for _, row in journal])
        if not is_changing:
            return fetch(counting, *values, *columns, *used)
        return fetch(changing, *values, *columns, *used, *change_columns(journal))

    async def append_all(self, appends: Sequence[Append], fetch: Fetch) -> list[Appended | None]:
        """Add rows to journals.

        Args:
            appends: the rows.
            fetch: sends the statement, perhaps as part of a transaction.
        """
        steps = self._steps
        rows = await self._fetch(
            fetch,
            (steps.append, steps.append_counting, steps.append_changing),
            [(each.attempt, row) for each in appends for row in each.rows],
            [each.run_id for each in appends],
            [each.attempt for each in appends],
            [each.streamed for each in appends],
        )
        written = {(row["run_id"], row["attempt"]): Appended(lost_keys(row)) for row in rows}
        return [written.get((each.run_id, each.attempt)) for each in appends]

    async def _settle_all(self, settlements: Sequence[Settlement]) -> list[Settled | None]:
        rows = await self._write_ends(self._connections.fetch, settlements)
        return await self._settled(settlements, rows)

    async def _settle_asking(self, settlement: Settlement) -> Settled | None:
        """Settle a run that pauses for records of approvals; they are made with it."""
        async with self._connections.transaction() as connection:
            await self._approvals.lock(connection, settlement.run_id)
            rows = await self._write_ends(connection.fetch, [settlement])
            if rows and rows[0]["status"] == RunStatus.paused:
                await self._approvals.ask(connection, settlement.approvals)
        return (await self._settled([settlement], rows))[0]

    def _write_ends(
        self, fetch: Fetch, settlements: Sequence[Settlement]
    ) -> Awaitable[list[asyncpg.Record]]:
        steps = self._steps
        return self._fetch(
            fetch,
            (steps.settle, steps.settle_counting, steps.settle_changing),
            [(each.attempt, row) for each in settlements for row in each.journal],
            *settled_columns(settlements),
        )

    async def _settled(
        self, settlements: Sequence[Settlement], rows: list[asyncpg.Record]
    ) -> list[Settled | None]:
        await self._hand_off.finish(rows)
        settled = {
            (row["run_id"], row["attempt"]): Settled(
                RunStatus(row["status"]), row["finished_at"], lost_keys(row), row["unstored"]
            )
            for row in rows
        }
        return [settled.get((each.run_id, each.attempt)) for each in settlements]


def _size_of_append(append: Append) -> int:
    return sum(len(row.payload) for row in append.rows)


def _size_of_settlement(settlement: Settlement) -> int:
    return len(settlement.output) + sum(len(row.payload) for row in settlement.journal)
