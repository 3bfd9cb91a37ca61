"""Approvals in PostgreSQL, each change with what follows for its run in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from typing_extensions import override

from kern.db.approvals import ApprovalFilter, Approvals, changed, noted
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.names import Names
from kern.db.postgres.statements import Resuming
from kern.run.approval import RESOLVED, Approval
from kern.run.base import RunStatus

_FIELDS = Approval.__struct_fields__
_MOMENTS = ("resolved_at", "created_at", "updated_at", "expires_at")


class PostgresApprovals(Approvals):
    """The approvals beside one session table."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Write the statements for ``names``."""
        self._connections = connections
        self._table = names.approvals
        self._resuming = Resuming(names)
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
        changes = ", ".join(f"{each} = excluded.{each}" for each in _FIELDS if each != "id")
        insert = f"""
INSERT INTO {self._table} AS known ({", ".join(_FIELDS)})
VALUES ({", ".join(map(_given, _FIELDS))}) ON CONFLICT (id) DO """
        self._insert = f"{insert} NOTHING RETURNING id"
        self._replace = f"{insert} UPDATE SET {changes}"
        self._resolve = f"{self._replace} WHERE known.status = 'pending'"
        self._note = f"UPDATE {names.runs} SET metadata = $2 WHERE run_id = $1"
        self._run_of = f"SELECT run_id FROM {self._table} WHERE id = $1"

    @override
    async def get(self, approval_id: str) -> Approval | None:
        rows = await self._connections.fetch(f"{self._select} WHERE id = $1", approval_id)
        return _approval(rows[0]) if rows else None

    @override
    async def find(
        self, wanted: ApprovalFilter, limit: int, offset: int = 0, *, before: str | None = None
    ) -> list[Approval]:
        agents = wanted.agents if wanted.user_id is None else ()
        if agents:
            wanted = msgspec.structs.replace(wanted, agents=())
        where, values = self._where(wanted, before)
        # By the column, for which there is an index; what is selected has the same name.
        order = "ORDER BY approval.created_at DESC, approval.id DESC LIMIT"
        if agents:  # Each by itself: its index has them in their order.
            values.append([*agents])
            where = f""" WHERE id = ANY(ARRAY(
    SELECT found.id FROM unnest(${len(values)}::text[]) AS of_agent CROSS JOIN LATERAL (
        SELECT id FROM {self._table} AS approval{where or " WHERE true"} AND agent_id = of_agent
        {order} {limit + offset:d}) AS found))"""
        rows = await self._connections.fetch(
            f"{self._select}{where} {order} {limit:d} OFFSET {offset:d}", *values
        )
        return [_approval(row) for row in rows]

    @override
    async def count(self, wanted: ApprovalFilter) -> int:
        where, values = self._where(wanted, None)
        statement = f"SELECT count(*) AS found FROM {self._table}{where}"
        found: int = (await self._connections.fetch(statement, *values))[0]["found"]
        return found

    @override
    async def put(self, approval: Approval) -> bool:
        return bool(await self._connections.fetch(self._insert, *_values(approval)))

    @override
    async def update(
        self, approval_id: str, expected: str | None, columns: Mapping[str, Any]
    ) -> Approval | None:
        async with self._connections.transaction() as connection:
            run_id: str | None = await connection.fetchval(self._run_of, approval_id)
            if run_id is None:
                return None
            line = await self.lock(connection, run_id)
            rows = await connection.fetch(
                f"{self._select} WHERE id = $1 FOR NO KEY UPDATE OF approval", approval_id
            )
            if not rows:
                return None
            current = _approval(rows[0])
            now: float = await connection.fetchval(
                "SELECT extract(epoch FROM clock_timestamp())::float8"
            )
            approval = changed(current, expected, columns, now)
            if approval is None:
                return None
            await connection.fetch(self._replace, *_values(approval))
            if line and current.is_pending and approval.status in RESOLVED:
                await self._follow(connection, line[-1], approval)
        return await self.get(approval_id)

    @override
    async def delete(self, approval_id: str) -> bool:
        statement = f"DELETE FROM {self._table} WHERE id = $1 RETURNING id"
        return bool(await self._connections.fetch(statement, approval_id))

    async def lock(self, connection: Connection, run_id: str) -> list[asyncpg.Record]:
        """Lock a run and the paused runs that wait for it; the last is the run."""
        return await connection.fetch(self._resuming.lock, run_id)

    async def ask(self, connection: Connection, approvals: Sequence[Approval]) -> None:
        """Make the records of what a run pauses for.

        Where one was resolved meanwhile, the run goes on at once, unless it is a caller's.

        Args:
            connection: in whose transaction the run has paused, after :meth:`lock`.
            approvals: the records, as the run knows them.
        """
        for each in approvals:
            if await connection.fetch(self._insert, *_values(each)):
                continue
            [row] = await connection.fetch(f"{self._select} WHERE id = $1", each.id)
            stored = _approval(row)
            if stored.status in RESOLVED and each.is_pending and stored.run_id == each.run_id:
                await self._follow(
                    connection, (await self.lock(connection, each.run_id))[-1], stored
                )

    async def resolve(self, connection: Connection, approvals: Sequence[Approval]) -> None:
        """Store records as the answers leave them with which their run goes on.

        Those that are resolved stay as they are.

        Args:
            connection: in whose transaction the run goes on, which has its row locked.
            approvals: the records.
        """
        for each in approvals:
            await connection.fetch(self._resolve, *_values(each))

    def _where(self, wanted: ApprovalFilter, before: str | None) -> tuple[str, list[object]]:
        columns = wanted.conditions()
        values: list[object] = [*columns.values()]
        conditions = [f"{each} = ${at}" for at, each in enumerate(columns, 1)]
        if wanted.status == "pending":  # Said in words, so that every plan knows that few are.
            conditions.append("status = 'pending'")
        if before is not None:
            values.append(before)
            conditions.append(
                f"(created_at, id) < (SELECT created_at, id FROM {self._table} "
                f"WHERE id = ${len(values)})"
            )
        if wanted.agents:
            values.append([*wanted.agents])
            conditions.append(f"agent_id = ANY(${len(values)})")
        return f" WHERE {' AND '.join(conditions)}" if conditions else "", values

    async def _follow(
        self, connection: Connection, run: asyncpg.Record, approval: Approval
    ) -> None:
        """Note an approval in the metadata of its run, and have that go on, if it is paused."""
        if run["status"] == RunStatus.paused:
            await connection.fetch(self._note, run["run_id"], noted(run["metadata"], approval))
            await connection.fetch(self._resuming.wake, run["run_id"])


def _given(column: str) -> str:
    parameter = f"${_FIELDS.index(column) + 1}"
    if column in ("created_at", "updated_at"):
        return f"coalesce(to_timestamp(nullif({parameter}::float8, 0)), now())"
    return f"to_timestamp({parameter}::float8)" if column in _MOMENTS else parameter


def _values(approval: Approval) -> tuple[object, ...]:
    return msgspec.structs.astuple(approval)


def _approval(row: asyncpg.Record) -> Approval:
    return Approval(**row)
