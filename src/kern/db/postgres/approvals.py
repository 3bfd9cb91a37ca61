"""Approvals in PostgreSQL, each change with what follows for its run in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from typing_extensions import override

from kern.db.approvals import RESOLVED, ApprovalFilter, Approvals, changed, noted
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.names import Names
from kern.run.approval import Approval
from kern.run.base import RunStatus

_FIELDS = Approval.__struct_fields__
_MOMENTS = ("resolved_at", "created_at", "updated_at", "expires_at")


class PostgresApprovals(Approvals):
    """The approvals beside one session table."""

    def __init__(self, connections: Connections, names: Names, resume: str) -> None:
        """Write the statements for ``names``.

        Args:
            connections: where to send them.
            names: the tables.
            resume: the statement that makes a run PENDING that stands still.
        """
        self._connections = connections
        self._table = names.approvals
        self._resume = resume
        # Where a run is, its row says best.
        status = f"(SELECT status FROM {names.runs} AS runs WHERE runs.run_id = approval.run_id)"
        columns = [
            f"extract(epoch FROM {each})::float8 AS {each}"
            if each in _MOMENTS
            else f"coalesce({status}, run_status) AS run_status"
            if each == "run_status"
            else each
            for each in _FIELDS
        ]
        self._select = f"SELECT {', '.join(columns)} FROM {self._table} AS approval"
        self.insert = f"""
INSERT INTO {self._table} ({", ".join(_FIELDS)}) VALUES ({", ".join(map(_given, _FIELDS))})
ON CONFLICT (id) DO NOTHING RETURNING id"""
        changes = ", ".join(f"{each} = {_given(each)}" for each in _FIELDS if each != "id")
        self._replace = f"UPDATE {self._table} SET {changes} WHERE id = {_given('id')}"
        self._lock_run = f"""
SELECT run_id, attempt, status, metadata, foreground FROM {names.runs}
WHERE run_id = (SELECT run_id FROM {self._table} WHERE id = $1) FOR NO KEY UPDATE"""
        self._note = f"UPDATE {names.runs} SET metadata = $2 WHERE run_id = $1"

    @override
    async def get(self, approval_id: str) -> Approval | None:
        rows = await self._connections.fetch(f"{self._select} WHERE id = $1", approval_id)
        return _approval(rows[0]) if rows else None

    @override
    async def find(self, wanted: ApprovalFilter, limit: int, offset: int = 0) -> list[Approval]:
        where, values = _where(wanted)
        page = f"ORDER BY created_at DESC, id DESC LIMIT {limit:d} OFFSET {offset:d}"
        rows = await self._connections.fetch(f"{self._select}{where} {page}", *values)
        return [_approval(row) for row in rows]

    @override
    async def count(self, wanted: ApprovalFilter) -> int:
        where, values = _where(wanted)
        statement = f"SELECT count(*) AS found FROM {self._table}{where}"
        found: int = (await self._connections.fetch(statement, *values))[0]["found"]
        return found

    @override
    async def put(self, approval: Approval) -> bool:
        return bool(await self._connections.fetch(self.insert, *_values(approval)))

    @override
    async def update(
        self, approval_id: str, expected: str | None, columns: Mapping[str, Any]
    ) -> Approval | None:
        async with self._connections.transaction() as connection:
            runs = await connection.fetch(self._lock_run, approval_id)
            rows = await connection.fetch(
                f"{self._select} WHERE id = $1 FOR NO KEY UPDATE OF approval", approval_id
            )
            if not rows:
                return None
            current = _approval(rows[0])
            now: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            approval = changed(current, expected, columns, now)
            if approval is None:
                return None
            await connection.fetch(self._replace, *_values(approval))
            if runs and current.is_pending and approval.status in RESOLVED:
                await self._follow(connection, runs[0], approval)
        return await self.get(approval_id)

    @override
    async def delete(self, approval_id: str) -> bool:
        statement = f"DELETE FROM {self._table} WHERE id = $1 RETURNING id"
        return bool(await self._connections.fetch(statement, approval_id))

    async def _follow(
        self, connection: Connection, run: asyncpg.Record, approval: Approval
    ) -> None:
        """Note an approval in the metadata of its run, and have that go on."""
        if run["status"] != RunStatus.paused:
            return
        run_id = run["run_id"]
        await connection.fetch(self._note, run_id, noted(run["metadata"], approval))
        if not run["foreground"]:
            await connection.fetch(
                self._resume, run_id, RunStatus.paused, run["attempt"], [], [], [], [], []
            )


def _given(column: str) -> str:
    parameter = f"${_FIELDS.index(column) + 1}"
    if column == "created_at":
        return f"to_timestamp(coalesce(nullif({parameter}::float8, 0), extract(epoch FROM now())))"
    return f"to_timestamp({parameter}::float8)" if column in _MOMENTS else parameter


def _values(approval: Approval) -> tuple[object, ...]:
    return msgspec.structs.astuple(approval)


def _where(wanted: ApprovalFilter) -> tuple[str, Sequence[object]]:
    values = wanted.conditions()
    conditions = " AND ".join(f"{each} = ${at}" for at, each in enumerate(values, 1))
    return f" WHERE {conditions}" if conditions else "", [*values.values()]


def _approval(row: asyncpg.Record) -> Approval:
    return Approval(**row)
