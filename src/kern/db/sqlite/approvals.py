"""Approvals in SQLite, each change with what follows for its run in one transaction."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from kern.db.approvals import ApprovalFilter, Approvals, changed, noted
from kern.db.sqlite.approval_rows import Records
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.submission import Submission
from kern.run.approval import RESOLVED, Approval
from kern.run.base import RunStatus


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
