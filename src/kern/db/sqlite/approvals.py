"""Approvals in SQLite, each change with what follows for its run in one transaction."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec
from typing_extensions import override

from kern.db.approvals import RESOLVED, ApprovalFilter, Approvals, changed, noted
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.submission import Submission
from kern.db.sqlite.tables import Tables
from kern.run.approval import Approval
from kern.run.base import RunStatus


class Records:
    """The operations on one file's tables, within the transactions of others."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._table, self._runs = tables.approvals, tables.runs

    def insert(self, transaction: Transaction, approval: Approval) -> bool:
        """Store a new approval; False where there is one of its id."""
        values = msgspec.structs.asdict(approval)
        values["created_at"] = values["created_at"] or transaction.now
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

    def select(
        self, transaction: Transaction, wanted: ApprovalFilter, limit: int, offset: int
    ) -> list[Approval]:
        """Return approvals, the last made first."""
        where, values = _where(wanted)
        rows = transaction.execute(
            f"SELECT {self._columns} FROM {self._table} AS approval{where} "
            "ORDER BY created_at DESC, id DESC LIMIT :limit OFFSET :offset",
            limit=limit,
            offset=offset,
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


class SqliteApprovals(Approvals):
    """The approvals beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._tables = file.tables
        self._records = Records(file.tables)
        self._submission = Submission(file.tables)

    @override
    async def get(self, approval_id: str) -> Approval | None:
        return await self._file.read(self._records.get, approval_id)

    @override
    async def find(self, wanted: ApprovalFilter, limit: int, offset: int = 0) -> list[Approval]:
        return await self._file.read(self._records.select, wanted, limit, offset)

    @override
    async def count(self, wanted: ApprovalFilter) -> int:
        return await self._file.read(self._records.count, wanted)

    @override
    async def put(self, approval: Approval) -> bool:
        return await self._file.write(self._records.insert, approval)

    @override
    async def update(
        self, approval_id: str, expected: str | None, columns: Mapping[str, Any]
    ) -> Approval | None:
        return await self._file.write(self._update, approval_id, expected, columns)

    @override
    async def delete(self, approval_id: str) -> bool:
        return await self._file.write(self._delete, approval_id)

    def _update(
        self,
        transaction: Transaction,
        approval_id: str,
        expected: str | None,
        columns: Mapping[str, Any],
    ) -> Approval | None:
        current = self._records.get(transaction, approval_id)
        if current is None:
            return None
        approval = changed(current, expected, columns, transaction.now)
        if approval is None:
            return None
        self._records.replace(transaction, approval)
        if current.is_pending and approval.status in RESOLVED and approval.run_id is not None:
            self._follow(transaction, approval)
        return self._records.get(transaction, approval_id)

    def _follow(self, transaction: Transaction, approval: Approval) -> None:
        """Note the approval in the metadata of its run, and have that go on."""
        run = transaction.one(
            f"SELECT attempt, metadata, foreground FROM {self._tables.runs} "
            "WHERE run_id = :run_id AND status = 'PAUSED'",
            run_id=approval.run_id,
        )
        if run is None:
            return
        transaction.execute(
            f"UPDATE {self._tables.runs} SET metadata = :metadata WHERE run_id = :run_id",
            run_id=approval.run_id,
            metadata=noted(run["metadata"], approval),
        )
        if not run["foreground"]:
            assert approval.run_id is not None
            self._submission.resume(
                transaction, approval.run_id, RunStatus.paused, run["attempt"], ()
            )

    def _delete(self, transaction: Transaction, approval_id: str) -> bool:
        deleted = transaction.execute(
            f"DELETE FROM {self._tables.approvals} WHERE id = :id", id=approval_id
        )
        return deleted.rowcount > 0


def _where(wanted: ApprovalFilter) -> tuple[str, dict[str, str]]:
    values = wanted.conditions()
    conditions = " AND ".join(f"{column} = :{column}" for column in values)
    return f" WHERE {conditions}" if conditions else "", values


def _approval(row: sqlite3.Row) -> Approval:
    values = dict(row)
    values["strict"] = bool(values["strict"])
    return Approval(**values)
