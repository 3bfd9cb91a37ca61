"""How runs stand that have not ended, in PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg
from typing_extensions import override

from kern.db.overview import WITHIN, Group, Overview, Standing
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import JOURNAL, LIVE, STATUS
from kern.run.base import RunStatus
from kern.run.record import JournalRow

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


class PostgresOverview(Overview):
    """The runs of one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        runs, events = names.runs, names.events
        # Thousands may wait for one limit, so what counts towards it is counted once a limit.
        self._standings = f"""
WITH asked AS MATERIALIZED (
    SELECT run_id, session_id, agent_id, user_id, status, due_at, dispatched_at, lease_until,
        cancel_requested_at, refusals, refused_at, waiting, concurrency_key
    FROM {runs} WHERE run_id = ANY($1) AND status IN {LIVE}
), limits AS MATERIALIZED (
    SELECT key, is_of_user, (
        SELECT count(*) FROM {runs} AS runs WHERE runs.agent_id = waiter.agent_id AND counted
            AND (NOT is_of_user OR runs.user_id = waiter.user_id)) AS counted
    FROM (SELECT DISTINCT ON (concurrency_key) concurrency_key AS key, agent_id, user_id,
        concurrency_key LIKE 'user/%' AS is_of_user
        FROM asked WHERE concurrency_key IS NOT NULL) AS waiter
)
SELECT asked.run_id, asked.status, now() AS at, asked.due_at, asked.dispatched_at AS begun_at,
    asked.lease_until, asked.cancel_requested_at, asked.refusals, asked.refused_at,
    asked.waiting AS waits_for_session, holder.run_id AS holder, holder.status AS holder_status,
    CASE WHEN is_of_user THEN 'user' WHEN key IS NOT NULL THEN 'agent' END AS limit,
    coalesce(limits.counted, 0) AS counted
FROM asked LEFT JOIN limits ON key = concurrency_key
LEFT JOIN {names.sessions} AS session
    ON asked.waiting AND session.session_id = asked.session_id
LEFT JOIN {runs} AS holder ON holder.run_id = session.lock_run_id AND holder.status IN {LIVE}"""

        self._groups = f"""
WITH alike AS (
    SELECT count(*) AS runs, min(position) AS first FROM {runs}
    WHERE {STATUS} IN ('PENDING', 'RUNNING', 'PAUSED') AND session_id IS NOT NULL
    GROUP BY agent_id, status, waiting, concurrency_key IS NULL, due_at <= now(),
        refusal IS NULL, failures > 0, lease_until < now(), cancel_requested_at IS NULL
    ORDER BY count(*) DESC, min(position) LIMIT $1
)
SELECT run_id, alike.runs FROM alike JOIN {runs} ON position = first
ORDER BY alike.runs DESC, first"""

        # Each is one look into the index, however many runs it has.
        self._agents = f"""
WITH RECURSIVE found AS (
    (SELECT agent_id FROM {runs} WHERE agent_id > '' ORDER BY agent_id LIMIT 1)
    UNION ALL
    SELECT (SELECT next.agent_id FROM {runs} AS next WHERE next.agent_id > found.agent_id
        ORDER BY next.agent_id LIMIT 1) FROM found WHERE found.agent_id IS NOT NULL
)
SELECT agent_id FROM found WHERE agent_id IS NOT NULL LIMIT $1"""

        self._last_steps = f"""
SELECT steps.* FROM unnest($1::text[]) AS asked (id) CROSS JOIN LATERAL (
    SELECT run_id, {JOURNAL}, extract(epoch FROM created_at)::float8 AS created_at
    FROM {events} WHERE run_id = id AND type NOT IN ({WITHIN}) AND seq >= coalesce((
        SELECT seq FROM {events} WHERE run_id = id AND type = 'ModelAnswered'
        ORDER BY seq DESC LIMIT 1), 0)
    ORDER BY seq) AS steps"""

    @override
    async def now(self) -> datetime:
        now: datetime = (await self._fetch("SELECT now() AS now"))[0]["now"]
        return now

    @override
    async def standings(self, run_ids: Sequence[str]) -> list[Standing]:
        return [_standing(row) for row in await self._fetch(self._standings, list(run_ids))]

    @override
    async def groups(self, limit: int) -> list[Group]:
        return [Group(*row) for row in await self._fetch(self._groups, limit)]

    @override
    async def agents(self, limit: int) -> list[str]:
        return [row["agent_id"] for row in await self._fetch(self._agents, limit)]

    @override
    async def last_steps(self, run_ids: Sequence[str]) -> list[JournalRow]:
        rows = await self._fetch(self._last_steps, list(run_ids))
        return [JournalRow(*row) for row in rows]


def _standing(row: asyncpg.Record) -> Standing:
    values = dict(row)
    for column in ("status", "holder_status"):
        values[column] = None if values[column] is None else RunStatus(values[column])
    return Standing(**values)
