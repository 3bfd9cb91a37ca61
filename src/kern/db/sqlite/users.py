"""Who owns what in SQLite, each question one transaction."""

from collections.abc import Sequence

from typing_extensions import override

from kern.db.erasing import IS_SEEN
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.memories import Remembering
from kern.db.sqlite.states import StateChanges
from kern.db.sqlite.tables import LIVE
from kern.db.users import MANY, ORDER, PAGE, Owners, Row, Table, Users
from kern.db.values import Kind
from kern.run.record import NewRun


class SqliteUsers(Users):
    """Who owns what beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        tables = self._tables = file.tables
        self._states = StateChanges(tables)
        self._memories = Remembering(tables)
        self._table_of: dict[Table, str] = {
            "sessions": f"{tables.sessions} WHERE user_id = :key",
            "states": f"{tables.states} WHERE session_id IN ("
            f"SELECT session_id FROM {tables.sessions} WHERE user_id = :key)",
            # Each by its index.
            "runs": f"{tables.runs} WHERE position IN ("
            f"SELECT position FROM {tables.runs} WHERE user_id = :key "
            f"UNION ALL SELECT position FROM {tables.sessions} AS session "
            f"JOIN {tables.runs} AS run ON run.session_id = session.session_id "
            "WHERE session.user_id = :key AND run.user_id IS NULL)",
            "events": f"{tables.journal} WHERE run_id = :key",
            "blobs": f"{tables.blobs} WHERE run_id = :key",
            "webhooks": f"{tables.webhooks} WHERE run_id = :key",
            "schedules": f"{tables.schedules} WHERE user_id = :key",
            "budgets": f"{tables.budgets} WHERE user_id = :key",
            "approvals": f"{tables.approvals} WHERE user_id = :key",
            "keys": f"{tables.keys} WHERE user_id = :key",
            "memories": f"{tables.memories} WHERE user_id = :key",
            "approvals_of_run": f"{tables.approvals} WHERE run_id = :key AND user_id IS NULL",
        }

    @override
    async def owners(
        self, run_ids: Sequence[str], session_ids: Sequence[str], connection: object | None = None
    ) -> Owners:
        return await self._file.read(self._owners, run_ids, session_ids)

    @override
    async def enter(self, run: NewRun, connection: object | None = None) -> bool:
        return await self._file.write(self._enter, run)

    @override
    async def runs(self, user_id: str) -> list[tuple[str, bool]]:
        return await self._file.read(self._runs, user_id)

    @override
    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        return await self._file.write(self._delete_runs, run_ids)

    @override
    async def delete_schedules(self, user_id: str) -> int:
        return await self._file.write(self._delete_schedules, user_id)

    @override
    async def delete_budgets(self, user_id: str) -> int:
        return await self._file.write(self._delete_budgets, user_id)

    @override
    async def delete_approvals(self, user_id: str) -> None:
        await self._file.write(self._delete_approvals, user_id)

    @override
    async def delete_keys(self, user_id: str) -> None:
        await self._file.write(self._delete_keys, user_id)

    @override
    async def delete_memories(self, user_id: str) -> int:
        return await self._file.write(self._memories.clear, user_id)

    @override
    async def delete_sessions(self, user_id: str) -> int:
        return await self._file.write(self._delete_sessions, user_id)

    @override
    async def rows(self, table: Table, key: str, after: Sequence[object]) -> list[Row]:
        return await self._file.read(self._rows, table, key, after)

    def _owners(
        self, transaction: Transaction, run_ids: Sequence[str], session_ids: Sequence[str]
    ) -> Owners:
        owners = Owners({}, {})
        for found, table, column, ids in (
            (owners.runs, self._tables.runs, "run_id", run_ids),
            (owners.sessions, self._tables.sessions, "session_id", session_ids),
        ):
            for each in ids:
                row = transaction.one(f"SELECT user_id FROM {table} WHERE {column} = :id", id=each)
                if row is not None:
                    found[each] = row["user_id"]
        return owners

    def _enter(self, transaction: Transaction, run: NewRun) -> bool:
        made = transaction.execute(
            f"INSERT INTO {self._tables.sessions} "
            "(session_id, agent_id, user_id, session_type, created_at, updated_at) "
            "VALUES (:session_id, :agent_id, :user_id, :session_type, :now, :now) "
            "ON CONFLICT DO NOTHING",
            session_id=run.session_id,
            agent_id=run.agent_id,
            user_id=run.user_id,
            session_type=run.session_type,
        )
        return made.rowcount > 0

    def _runs(self, transaction: Transaction, user_id: str) -> list[tuple[str, bool]]:
        rows = transaction.execute(
            f"SELECT run_id, status IN {LIVE} AS is_live FROM {self._table_of['runs']} "
            "ORDER BY position LIMIT :many",
            key=user_id,
            many=MANY,
        )
        return [(row["run_id"], bool(row["is_live"])) for row in rows]

    def _delete_runs(self, transaction: Transaction, run_ids: Sequence[str]) -> int:
        tables, count = self._tables, 0
        for run_id in run_ids:
            gone = transaction.one(
                f"DELETE FROM {tables.runs} WHERE run_id = :run_id AND status NOT IN {LIVE} "
                "RETURNING session_id",
                run_id=run_id,
            )
            if gone is None:
                continue
            count += 1
            for table in (tables.journal, tables.webhooks, tables.blobs, tables.approvals):
                transaction.execute(f"DELETE FROM {table} WHERE run_id = :run_id", run_id=run_id)
            transaction.execute(
                f"DELETE FROM {tables.sessions} AS session WHERE session_id = :session_id "
                f"AND user_id IS NULL AND NOT EXISTS (SELECT 1 FROM {tables.runs} AS run "
                "WHERE run.session_id = session.session_id AND position > 0)",
                session_id=gone["session_id"],
            )
            self._states.forget(transaction, gone["session_id"])
        return count

    def _delete_schedules(self, transaction: Transaction, user_id: str) -> int:
        transaction.notify(Kind.schedule)
        return transaction.execute(
            f"DELETE FROM {self._tables.schedules} WHERE user_id = :user_id", user_id=user_id
        ).rowcount

    def _delete_budgets(self, transaction: Transaction, user_id: str) -> int:
        return transaction.execute(
            f"DELETE FROM {self._tables.budgets} WHERE user_id = :user_id", user_id=user_id
        ).rowcount

    def _delete_approvals(self, transaction: Transaction, user_id: str) -> None:
        transaction.execute(
            f"DELETE FROM {self._tables.approvals} WHERE user_id = :user_id", user_id=user_id
        )

    def _delete_keys(self, transaction: Transaction, user_id: str) -> None:
        transaction.execute(f"DELETE FROM {self._tables.keys} WHERE user_id = :key", key=user_id)

    def _delete_sessions(self, transaction: Transaction, user_id: str) -> int:
        sessions, runs, states = self._tables.sessions, self._tables.runs, self._tables.states
        deleted = transaction.execute(
            f"DELETE FROM {sessions} AS session WHERE user_id = :user_id "
            f"AND NOT EXISTS (SELECT 1 FROM {runs} AS run "
            "WHERE run.session_id = session.session_id AND position > 0) RETURNING session_id",
            user_id=user_id,
        ).fetchall()
        disowned = transaction.execute(
            f"UPDATE {sessions} AS session SET user_id = NULL, name = NULL, metadata = NULL, "
            "summary = NULL, data = NULL, "
            "state_version = state_version + 1 + coalesce((SELECT sum(version) "
            f"FROM {states} AS state WHERE state.session_id = session.session_id), 0) "
            f"WHERE user_id = :user_id AND EXISTS (SELECT 1 FROM {runs} AS run "
            "WHERE run.session_id = session.session_id AND run.user_id <> :user_id) "
            "RETURNING session_id",
            user_id=user_id,
        ).fetchall()
        for row in (*deleted, *disowned):
            transaction.execute(
                f"DELETE FROM {states} WHERE session_id = :session_id",
                session_id=row["session_id"],
            )
        return len(deleted)

    def _rows(
        self, transaction: Transaction, table: Table, key: str, after: Sequence[object]
    ) -> list[Row]:
        columns = ORDER[table]
        order = ", ".join(columns)
        rows = transaction.execute(
            f"SELECT * FROM {self._table_of[table]} {f'AND {IS_SEEN} ' if table == 'runs' else ''}"
            f"AND ({order}) > ({', '.join(':after_' + each for each in columns)}) "
            f"ORDER BY {order} LIMIT {PAGE}",
            key=key,
            **{f"after_{name}": value for name, value in zip(columns, after, strict=True)},
        )
        return [dict(row) for row in rows]
