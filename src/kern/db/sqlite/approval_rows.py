"""The rows of approvals in SQLite, within the transactions of others."""

import sqlite3
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from kern.db.approvals import ApprovalFilter
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.tables import Tables
from kern.run.approval import Approval
from kern.run.codec import dump


class Records:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._table, self._runs = tables.approvals, tables.runs

    def insert(self, transaction: Transaction, approval: Approval) -> bool:
        """Store a new approval; False where there is one of its id."""
        values = msgspec.structs.asdict(approval)
        values["created_at"] = approval.created_at or transaction.now
        values["updated_at"] = approval.updated_at or transaction.now
        made = transaction.execute(
            f"INSERT INTO {self._table} ({', '.join(values)}) "
            f"VALUES ({', '.join(':' + column for column in values)}) ON CONFLICT DO NOTHING",
            **values,
        )
        return made.rowcount > 0

    def replace(self, transaction: Transaction, approval: Approval) -> None:
        """Store an approval in the place of what it was."""
        values = msgspec.structs.asdict(approval)
        transaction.execute(
            f"UPDATE {self._table} SET {', '.join(f'{each} = :{each}' for each in values)} "
            "WHERE id = :id",
            **values,
        )

    def resolve(self, transaction: Transaction, approvals: Sequence[Approval]) -> None:
        """Store records as the answers leave them with which their run goes on.

        Those that are resolved stay as they are.
        """
        for each in approvals:
            stored = self.get(transaction, each.id)
            if stored is None:
                self.insert(transaction, each)
            elif stored.is_pending:
                self.replace(transaction, each)

    def cancel(self, transaction: Transaction, run_id: str) -> None:
        """Cancel the records for which a run waits."""
        transaction.execute(
            f"UPDATE {self._table} SET status = 'cancelled', updated_at = :now "
            "WHERE run_id = :run_id AND status = 'pending'",
            run_id=run_id,
        )

    def select(
        self,
        transaction: Transaction,
        wanted: ApprovalFilter,
        limit: int,
        offset: int,
        before: str | None,
    ) -> list[Approval]:
        """Return approvals, the last made first."""
        if wanted.agents and wanted.user_id is None:
            # Each agent by itself: its index has them in their order.
            found = [
                approval
                for each in wanted.agents
                for approval in self.select(
                    transaction,
                    replace(wanted, agent_id=each, agents=()),
                    limit + offset,
                    0,
                    before,
                )
            ]
            found.sort(key=lambda each: (each.created_at, each.id), reverse=True)
            return found[offset : offset + limit]
        where, values = _where(wanted)
        if before is not None:
            where += " AND " if where else " WHERE "
            where += (
                f"(created_at, id) < (SELECT created_at, id FROM {self._table} WHERE id = :before)"
            )
        rows = transaction.execute(
            f"SELECT {self._columns} FROM {self._table} AS approval{where} "
            "ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :offset",
            limit=limit,
            offset=offset,
            before=before,
            **values,
        )
        return [_approval(row) for row in rows]

    def count(self, transaction: Transaction, wanted: ApprovalFilter) -> int:
        """Return how many approvals there are of those that are wanted."""
        where, values = _where(wanted)
        row = transaction.one(f"SELECT count(*) FROM {self._table}{where}", **values)
        return row[0] if row else 0

    def get(self, transaction: Transaction, approval_id: str) -> Approval | None:
        """Return an approval."""
        row = transaction.one(
            f"SELECT {self._columns} FROM {self._table} AS approval WHERE id = :id",
            id=approval_id,
        )
        return None if row is None else _approval(row)

    @property
    def _columns(self) -> str:
        # Where a run is, its row says best.
        status = f"(SELECT status FROM {self._runs} AS run WHERE run.run_id = approval.run_id)"
        own = ", ".join(each for each in Approval.__struct_fields__ if each != "run_status")
        return f"{own}, coalesce({status}, run_status) AS run_status"


def _where(wanted: ApprovalFilter) -> tuple[str, dict[str, str]]:
    values = wanted.conditions()
    # Few are pending: by that they are found; a plus keeps SQLite from taking another index.
    others = "+" if wanted.status == "pending" and wanted.run_id is None else ""
    conditions = [f"{'' if each == 'status' else others}{each} = :{each}" for each in values]
    if wanted.agents:
        values["agents"] = dump(wanted.agents)
        conditions.append("+agent_id IN (SELECT value FROM json_each(:agents))")
    return f" WHERE {' AND '.join(conditions)}" if conditions else "", values


def _approval(row: sqlite3.Row) -> Approval:
    values = dict(row)
    values["strict"] = bool(values["strict"])
    return Approval(**values)
