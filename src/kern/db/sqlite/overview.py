"""How runs stand that have not ended, in SQLite."""

from collections.abc import Sequence
from datetime import UTC, datetime

from typing_extensions import override

from kern.db.overview import WITHIN, Group, LimitOf, Overview, Standing
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment
from kern.db.sqlite.tables import LIVE
from kern.run.base import RunStatus
from kern.run.record import JournalRow

_MOMENTS = ("due_at", "begun_at", "lease_until", "cancel_requested_at", "refused_at")


class SqliteOverview(Overview):
    """The runs of one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._runs = file.tables.runs
        self._sessions = file.tables.sessions
        self._journal = file.tables.journal

    @override
    async def now(self) -> datetime:
        return await self._file.read(lambda transaction: _at(transaction))

    @override
    async def standings(self, run_ids: Sequence[str]) -> list[Standing]:
        return await self._file.read(self._standings, run_ids)

    @override
    async def groups(self, limit: int) -> list[Group]:
        return await self._file.read(self._groups, limit)

    @override
    async def agents(self, limit: int) -> list[str]:
        return await self._file.read(self._agents, limit)

    @override
    async def last_steps(self, run_ids: Sequence[str]) -> list[JournalRow]:
        return await self._file.read(self._last_steps, run_ids)

    def _standings(self, transaction: Transaction, run_ids: Sequence[str]) -> list[Standing]:
        counted = dict[str, int]()
        found = (self._standing(transaction, run_id, counted) for run_id in run_ids)
        return [each for each in found if each is not None]

    def _standing(
        self, transaction: Transaction, run_id: str, counted: dict[str, int]
    ) -> Standing | None:
        row = transaction.one(
            f"""
SELECT asked.run_id, asked.status, asked.due_at, asked.dispatched_at AS begun_at,
    asked.lease_until, asked.cancel_requested_at, asked.refusals, asked.refused_at,
    asked.waiting AS waits_for_session, holder.run_id AS holder, holder.status AS holder_status,
    asked.agent_id, asked.user_id, asked.concurrency_key AS key,
    json_array_length(asked.concurrency_key) > 1 AS is_of_user
FROM {self._runs} AS asked
LEFT JOIN {self._sessions} AS session
    ON asked.waiting AND session.session_id = asked.session_id
LEFT JOIN {self._runs} AS holder ON holder.run_id = session.lock_run_id
    AND holder.status IN {LIVE}
WHERE asked.run_id = :run_id AND asked.status IN {LIVE}""",
            run_id=run_id,
        )
        if row is None:
            return None
        values = dict(row)
        key, agent_id, user_id = (values.pop(each) for each in ("key", "agent_id", "user_id"))
        limit: LimitOf | None = None
        is_of_user = values.pop("is_of_user")
        if key is not None:
            limit = "user" if is_of_user else "agent"
            if key not in counted:  # Thousands may wait for one limit.
                whose = user_id if is_of_user else None
                counted[key] = self._counted(transaction, agent_id, whose)
        holder_status = values["holder_status"]
        values |= {each: moment(values[each]) for each in _MOMENTS} | {
            "at": _at(transaction),
            "status": RunStatus(values["status"]),
            "holder_status": None if holder_status is None else RunStatus(holder_status),
            "waits_for_session": bool(values["waits_for_session"]),
            "limit": limit,
            "counted": counted.get(key, 0),
        }
        return Standing(**values)

    def _counted(self, transaction: Transaction, agent_id: str, user_id: str | None) -> int:
        of_user = "" if user_id is None else "AND user_id = :user_id"
        row = transaction.sole(
            f"SELECT count(*) FROM {self._runs} WHERE agent_id = :agent_id {of_user} "
            "AND counted AND status = 'RUNNING'",
            agent_id=agent_id,
            user_id=user_id,
        )
        return int(row[0])

    def _groups(self, transaction: Transaction, limit: int) -> list[Group]:
        rows = transaction.execute(
            f"""
WITH alike AS (
    SELECT count(*) AS runs, min(position) AS first FROM {self._runs}
    WHERE status IN {LIVE} AND +session_id IS NOT NULL
    GROUP BY agent_id, status, waiting, concurrency_key IS NULL, due_at <= :now,
        refusal IS NULL, failures > 0, lease_until < :now, cancel_requested_at IS NULL
    ORDER BY runs DESC, first LIMIT :limit
)
SELECT run_id, alike.runs FROM alike JOIN {self._runs} ON position = first
ORDER BY alike.runs DESC, first""",
            limit=limit,
        )
        return [Group(*row) for row in rows]

    def _agents(self, transaction: Transaction, limit: int) -> list[str]:
        # Each is one look into the index, however many runs it has.
        rows = transaction.execute(
            f"""
WITH RECURSIVE found (agent_id) AS (
    SELECT min(agent_id) FROM {self._runs} WHERE agent_id > ''
    UNION ALL
    SELECT (SELECT min(agent_id) FROM {self._runs} WHERE agent_id > found.agent_id)
    FROM found WHERE agent_id IS NOT NULL
)
SELECT agent_id FROM found WHERE agent_id IS NOT NULL LIMIT :limit""",
            limit=limit,
        )
        return [agent_id for (agent_id,) in rows]

    def _last_steps(self, transaction: Transaction, run_ids: Sequence[str]) -> list[JournalRow]:
        statement = f"""
SELECT run_id, seq, event, type, skippable, payload, created_at FROM {self._journal}
WHERE run_id = :run_id AND type NOT IN ({WITHIN}) AND seq >= coalesce((
    SELECT seq FROM {self._journal} WHERE run_id = :run_id AND type = 'ModelAnswered'
    ORDER BY seq DESC LIMIT 1), 0)
ORDER BY seq"""
        return [
            JournalRow(run_id, seq, event, type, bool(skippable), payload, created_at)
            for each in run_ids
            for run_id, seq, event, type, skippable, payload, created_at in transaction.execute(
                statement, run_id=each
            )
        ]


def _at(transaction: Transaction) -> datetime:
    return datetime.fromtimestamp(transaction.now, UTC)
