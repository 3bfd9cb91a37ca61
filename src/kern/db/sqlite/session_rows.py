"""Sessions as users see them, in SQLite, each question one transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from typing_extensions import override

from kern.db.erasing import IS_SEEN
from kern.db.listing import BEGINNING, is_no_child
from kern.db.reading import Reading
from kern.db.retention import NEWEST
from kern.db.sessions import COPIED, Preview, SessionFilter, SessionRow, Sessions
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment, record
from kern.db.sqlite.states import StateChanges
from kern.db.sqlite.tables import LIVE
from kern.run.codec import dump
from kern.run.record import RunRecord

_RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error, priority, run_at, timeout, max_attempts, failures,
    webhook, parent_run_id, executor, journal_version, refusal, requirements, error_kind,
    usage_limits, output_schema, lineage, foreground, replaced_by, unstored, usage, input"""


class SqliteSessions(Sessions):
    """Sessions in one session table of a file."""

    def __init__(self, file: SqliteFile, reading: Reading) -> None:
        """Use ``file``."""
        super().__init__(reading)
        self._file = file
        self._sessions, self._runs = file.tables.sessions, file.tables.runs
        self._states = StateChanges(file.tables)
        self._select = f"""
SELECT session_id, agent_id, user_id, name, (
    SELECT json_group_array(json_array(key, value)) FROM {file.tables.states} AS state
    WHERE state.session_id = session.session_id AND value IS NOT NULL) AS state,
    coalesce(metadata, (SELECT metadata FROM {self._runs} AS run
        WHERE run.session_id = session.session_id AND position > 0
        ORDER BY position LIMIT 1)) AS metadata,
    summary, data, created_at, updated_at, session_type
FROM {self._sessions} AS session"""

    @override
    async def get(self, session_id: str) -> SessionRow | None:
        return await self._file.read(self._get, session_id)

    @override
    async def find(
        self,
        wanted: SessionFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool,
        after: str | None = None,
    ) -> list[SessionRow]:
        return await self._file.read(self._find, wanted, limit, offset, oldest_first, after)

    @override
    async def count(self, wanted: SessionFilter) -> int:
        return await self._file.read(self._count, wanted)

    @override
    async def put(self, row: SessionRow) -> bool:
        return await self._file.write(self._put, row)

    @override
    async def rename(self, session_id: str, name: str) -> bool:
        return await self._file.write(self._rename, session_id, name)

    @override
    async def summarize(self, session_id: str, run_id: str, attempt: int, summary: str) -> bool:
        return await self._file.write(self._summarize, session_id, run_id, attempt, summary)

    @override
    async def records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        return await self._file.read(self._records, run_ids)

    @override
    async def previews(self, session_ids: Sequence[str], many: int) -> list[Preview]:
        return await self._file.read(self._previews, session_ids, many)

    @override
    async def put_run(self, run: RunRecord) -> bool:
        return await self._file.write(self._put_run, run)

    @override
    async def copy(self, source: str, row: SessionRow, run_ids: Sequence[tuple[str, str]]) -> None:
        await self._file.write(self._copy, source, row, run_ids)

    @override
    async def forget(self, session_id: str) -> bool:
        return await self._file.write(self._forget, session_id)

    def _get(self, transaction: Transaction, session_id: str) -> SessionRow | None:
        row = transaction.one(
            f"{self._select} WHERE session_id = :session_id", session_id=session_id
        )
        return None if row is None else _row(row)

    def _find(
        self,
        transaction: Transaction,
        wanted: SessionFilter,
        limit: int | None,
        offset: int,
        oldest_first: bool,
        after: str | None,
    ) -> list[SessionRow]:
        if wanted.agents and wanted.user_id is None:
            # Each agent by itself: its index has them in their order.
            many, found = None if limit is None else limit + offset, list[SessionRow]()
            for each in wanted.agents:
                one = wanted._replace(agent_id=each, agents=())
                found += self._find(transaction, one, many, 0, oldest_first, after)
            found.sort(key=lambda row: (row.created_at, row.session_id), reverse=not oldest_first)
            return found[offset:many]
        order = "" if oldest_first else "DESC"
        where = _conditions(wanted)
        if after is not None:
            where += " AND" if where else "WHERE"
            where += (
                f" (created_at, session_id) {'>' if oldest_first else '<'} (SELECT created_at, "
                f"session_id FROM {self._sessions} WHERE session_id = :after)"
            )
        rows = transaction.execute(
            f"{self._select} {where} "
            f"ORDER BY created_at {order}, session_id {order} LIMIT :limit OFFSET :offset",
            **_values(wanted),
            limit=-1 if limit is None else limit,
            offset=offset,
            after=after,
        )
        return [_row(row) for row in rows]

    def _count(self, transaction: Transaction, wanted: SessionFilter) -> int:
        row = transaction.sole(
            f"SELECT count(*) AS count FROM {self._sessions} {_conditions(wanted)}",
            **_values(wanted),
        )
        count: int = row["count"]
        return count

    def _put(self, transaction: Transaction, row: SessionRow) -> bool:
        created_at = transaction.now if row.created_at is None else row.created_at.timestamp()
        stored = transaction.execute(
            f"""
INSERT INTO {self._sessions} AS session (session_id, agent_id, user_id, name,
    metadata, summary, data, created_at, updated_at, session_type)
VALUES (:session_id, :agent_id, :user_id, :name, :metadata, :summary, :data,
    :created_at, :now, :session_type)
ON CONFLICT (session_id) DO UPDATE SET user_id = coalesce(session.user_id, excluded.user_id),
    name = excluded.name, metadata = excluded.metadata, summary = excluded.summary,
    data = excluded.data, updated_at = :now
WHERE coalesce(session.user_id = excluded.user_id, true)""",
            session_id=row.session_id,
            agent_id=row.agent_id,
            user_id=row.user_id,
            name=row.name,
            metadata=row.metadata,
            summary=row.summary,
            data=row.data,
            created_at=created_at,
            session_type=row.session_type,
        )
        return stored.rowcount > 0

    def _rename(self, transaction: Transaction, session_id: str, name: str) -> bool:
        renamed = transaction.execute(
            f"UPDATE {self._sessions} SET name = :name, updated_at = :now "
            "WHERE session_id = :session_id",
            session_id=session_id,
            name=name,
        )
        return renamed.rowcount > 0

    def _summarize(
        self, transaction: Transaction, session_id: str, run_id: str, attempt: int, summary: str
    ) -> bool:
        written = transaction.execute(
            f"UPDATE {self._sessions} SET summary = :summary WHERE session_id = :session_id "
            f"AND EXISTS (SELECT 1 FROM {self._runs} WHERE run_id = :run_id "
            "AND session_id = :session_id AND attempt = :attempt AND status = 'RUNNING' "
            "AND NOT unstored)",
            session_id=session_id,
            run_id=run_id,
            attempt=attempt,
            summary=summary,
        )
        return written.rowcount > 0

    def _records(self, transaction: Transaction, run_ids: Sequence[str]) -> list[RunRecord]:
        statement = (
            f"SELECT position, {_RECORD} FROM {self._runs} "
            f"WHERE run_id = :run_id AND session_id IS NOT NULL AND {IS_SEEN}"
        )
        found = [transaction.one(statement, run_id=run_id) for run_id in run_ids]
        rows = sorted((row for row in found if row is not None), key=lambda row: row["position"])
        return [record(row) for row in rows]

    def _previews(
        self, transaction: Transaction, session_ids: Sequence[str], many: int
    ) -> list[Preview]:
        previews = list[Preview]()
        for session_id in session_ids:
            # Read one by one, until there are enough.
            earliest = transaction.execute(
                "SELECT position, status = 'COMPLETED' AND replaced_by IS NULL AND "
                f"{is_no_child(self._runs)} AS is_shown "
                f"FROM {self._runs} WHERE session_id = :session_id AND position > 0 "
                f"AND {IS_SEEN} ORDER BY position LIMIT {NEWEST}",
                session_id=session_id,
            )
            completed = (row["position"] for row in earliest if row["is_shown"])
            for position in list(islice(completed, many)):
                shown = transaction.sole(
                    f"SELECT session_id, substr(input, 1, {BEGINNING}), "
                    f"substr(output, 1, {BEGINNING}) FROM {self._runs} WHERE position = :position",
                    position=position,
                )
                previews.append(Preview(*shown))
            earliest.close()
        return previews

    def _put_run(self, transaction: Transaction, run: RunRecord) -> bool:
        written = transaction.execute(
            f"""
INSERT INTO {self._runs} AS run (run_id, session_id, agent_id, user_id, parent_run_id, status,
    attempt, input, output, error, error_kind, usage, metadata, created_at, started_at,
    finished_at)
VALUES (:run_id, :session_id, :agent_id, :user_id, :parent_run_id, :status, :attempt, :input,
    :output, :error, :error_kind, :usage, :metadata, :created_at, :started_at,
    coalesce(:finished_at, :now))
ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, output = excluded.output,
    error = excluded.error, error_kind = excluded.error_kind, usage = excluded.usage,
    metadata = excluded.metadata
WHERE run.status NOT IN {LIVE} AND run.erased_at IS NULL
    AND run.session_id = excluded.session_id AND run.user_id IS excluded.user_id""",
            run_id=run.run_id,
            session_id=run.session_id,
            agent_id=run.agent_id,
            user_id=run.user_id,
            parent_run_id=run.parent_run_id,
            status=run.status.value,
            attempt=run.attempt,
            input=run.input,
            output=run.output,
            error=run.error,
            error_kind=run.error_kind,
            usage=run.usage,
            metadata=run.metadata,
            created_at=run.created_at.timestamp(),
            started_at=_seconds(run.started_at),
            finished_at=_seconds(run.finished_at),
        )
        return written.rowcount > 0

    def _copy(
        self,
        transaction: Transaction,
        source: str,
        row: SessionRow,
        run_ids: Sequence[tuple[str, str]],
    ) -> None:
        tables, copies = self._file.tables, dict(run_ids)
        self._put(transaction, row)
        transaction.execute(
            f"INSERT INTO {tables.states} (session_id, key, value, position) "
            f"SELECT :session_id, key, value, 0 FROM {tables.states} "
            "WHERE session_id = :source AND value IS NOT NULL",
            session_id=row.session_id,
            source=source,
        )
        for old, new in run_ids:
            run = transaction.one(
                f"SELECT parent_run_id, replaced_by FROM {self._runs} "
                f"WHERE run_id = :old AND {IS_SEEN}",
                old=old,
            )
            if run is None:  # It was deleted, or erased, meanwhile.
                continue
            transaction.execute(
                f"INSERT INTO {self._runs} "
                f"(run_id, session_id, parent_run_id, replaced_by, {COPIED}) "
                f"SELECT :new, :session_id, :parent, :replaced_by, {COPIED} "
                f"FROM {self._runs} WHERE run_id = :old",
                new=new,
                session_id=row.session_id,
                parent=copies.get(run["parent_run_id"]),
                replaced_by=copies.get(run["replaced_by"], run["replaced_by"]),
                old=old,
            )
            for table, kept in (
                (tables.journal, "seq, event, type, skippable, payload, created_at"),
                (tables.blobs, "hash, chunk, data"),
            ):
                transaction.execute(
                    f"INSERT INTO {table} (run_id, {kept}) SELECT :new, {kept} FROM {table} "
                    "WHERE run_id = :old",
                    new=new,
                    old=old,
                )

    def _forget(self, transaction: Transaction, session_id: str) -> bool:
        deleted = transaction.execute(
            f"DELETE FROM {self._sessions} WHERE session_id = :session_id "
            f"AND NOT EXISTS (SELECT 1 FROM {self._runs} WHERE session_id = :session_id "
            "AND position > 0)",
            session_id=session_id,
        )
        self._states.forget(transaction, session_id)
        return deleted.rowcount > 0


def _conditions(wanted: SessionFilter) -> str:
    """Return the conditions that are asked for, so that each list finds its index."""
    given = {
        "user_id = :user_id": wanted.user_id,
        "agent_id = :agent_id": wanted.agent_id,
        # The first condition is that of the index.
        "name IS NOT NULL AND instr(lower(name), lower(:name)) > 0": wanted.name,
        "created_at >= :since": wanted.since,
        "created_at <= :until": wanted.until,
        "+agent_id IN (SELECT value FROM json_each(:agents))": wanted.agents or None,
    }
    chosen = [condition for condition, value in given.items() if value is not None]
    if wanted.is_of_team is not None:
        chosen.append(f"session_type IS {'NOT ' if wanted.is_of_team else ''}NULL")
    return f"WHERE {' AND '.join(chosen)}" if chosen else ""


def _values(wanted: SessionFilter) -> dict[str, object]:
    moments = {"since": _seconds(wanted.since), "until": _seconds(wanted.until)}
    return wanted._asdict() | moments | {"agents": dump(wanted.agents)}


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _row(row: sqlite3.Row) -> SessionRow:
    values = dict(row)
    for column in ("created_at", "updated_at"):
        values[column] = moment(values[column])
    return SessionRow(**values)
