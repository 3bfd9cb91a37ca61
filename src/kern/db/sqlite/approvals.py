"""Approvals in SQLite, each change with what follows for its run in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from kern.db.approvals import ApprovalFilter, Approvals, changed, noted
from kern.db.sqlite.approval_rows import Records
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.resuming import Resuming
from kern.db.sqlite.tables import Tables
from kern.run.approval import RESOLVED, Approval


class Asking:
    """How runs wait for approvals, in one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs = tables.runs
        self._records = Records(tables)
        self._resuming = Resuming(tables)

    def ask(self, transaction: Transaction, approvals: Sequence[Approval]) -> None:
        """Make the records of what a run pauses for.

        Where one was resolved meanwhile, the run goes on at once, unless it is a caller's.

        Args:
            transaction: that in which the run has paused.
            approvals: the records, as the run knows them.
        """
        for each in approvals:
            if self._records.insert(transaction, each):
                continue
            stored = self._records.get(transaction, each.id)
            assert stored is not None, "its id is in use"
            if stored.status in RESOLVED and each.is_pending and stored.run_id == each.run_id:
                self.follow(transaction, stored)

    def follow(self, transaction: Transaction, approval: Approval) -> None:
        """Note an approval in the metadata of its run, and have that go on, if it is paused."""
        run = transaction.one(
            f"SELECT metadata FROM {self._runs} WHERE run_id = :run_id AND status = 'PAUSED'",
            run_id=approval.run_id,
        )
        if run is not None:
            transaction.execute(
                f"UPDATE {self._runs} SET metadata = :metadata WHERE run_id = :run_id",
                run_id=approval.run_id,
                metadata=noted(run["metadata"], approval),
            )
            self._resuming.wake(transaction, approval.run_id)


class SqliteApprovals(Approvals):
    """The approvals beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._table = file.tables.approvals
        self._records = Records(file.tables)
        self._asking = Asking(file.tables)

    @override
    async def get(self, approval_id: str) -> Approval | None:
        return await self._file.read(self._records.get, approval_id)

    @override
    async def find(
        self, wanted: ApprovalFilter, limit: int, offset: int = 0, *, before: str | None = None
    ) -> list[Approval]:
        return await self._file.read(self._records.select, wanted, limit, offset, before)

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
        if current.is_pending and approval.status in RESOLVED:
            self._asking.follow(transaction, approval)
        return self._records.get(transaction, approval_id)

    def _delete(self, transaction: Transaction, approval_id: str) -> bool:
        deleted = transaction.execute(f"DELETE FROM {self._table} WHERE id = :id", id=approval_id)
        return deleted.rowcount > 0
