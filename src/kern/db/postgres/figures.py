"""What happened in each minute and hour, in PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import asyncpg
from typing_extensions import override

from kern.db.figures import (
    BOUNDS,
    CAUGHT_UP,
    COUNTED,
    GRACE,
    HOUR,
    MINUTE,
    MINUTES,
    NUMBERS,
    SAMPLED,
    Figures,
    Tally,
)
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import STATUS

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_HISTOGRAMS = ("waits", "durations")


class PostgresFigures(Figures):
    """The figures beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        self._count = _count(names)
        self._sample = _sample(names)
        self._find = _find(names)

    @override
    async def count(self) -> int:
        counted, is_due = 0, True
        while is_due and counted < MINUTES:
            rows = await self._fetch(self._count)
            is_due = bool(rows) and rows[0]["is_due"]
            counted += len(rows)
        if counted:
            await self._fetch(self._sample)
        return counted

    @override
    async def _between(
        self, span: int, step: int, first: int, until: float, agents: Sequence[str] | None
    ) -> tuple[float, list[Tally]]:
        moments = (datetime.fromtimestamp(each, UTC) for each in (first, until))
        rows = await self._fetch(self._find, span, step, *moments, agents)
        if not rows:
            return 0.0, []
        tallies = [
            Tally(
                datetime.fromtimestamp(row["at"], UTC),
                step,
                *(row[each] for each in NUMBERS),
                *(tuple(map(int, row[each])) for each in _HISTOGRAMS),
            )
            for row in rows
        ]
        return min(until, rows[0]["counted_until"]), tallies


def _count(names: Names) -> str:
    """Return the statement that counts the next minute, if that has passed.

    The process that advances the tick counts; minutes in which nothing has happened are left out.
    """
    runs, passed = names.runs, f"now() - interval '{MINUTE + GRACE} s'"
    earliest = (
        "greatest(counted_until, "
        f"date_trunc('minute', now()) - interval '{CAUGHT_UP.total_seconds()} s')"
    )
    first = ", ".join(
        f"(SELECT {column} FROM {runs} WHERE {column} >= {earliest} ORDER BY {column} LIMIT 1)"
        for column in ("created_at", "finished_at")
    )
    within = (
        f"FROM {runs} WHERE {{0}} >= minute.begins_at "
        "AND {0} < minute.begins_at + interval '1 minute' AND session_id IS NOT NULL "
        f"LIMIT {COUNTED}"
    )
    ended = ("COMPLETED", "ERROR", "CANCELLED")
    return f"""
WITH minute AS MATERIALIZED (
    UPDATE {names.tick} SET counted_until = interval '1 minute'
        + date_trunc('minute', greatest({earliest}, least({first}, {passed})))
    WHERE counted_until <= {passed}
    RETURNING counted_until - interval '1 minute' AS begins_at, counted_until <= {passed} AS is_due
), submitted AS (
    SELECT agent_id, count(*) AS submitted
    FROM minute CROSS JOIN LATERAL (SELECT agent_id {within.format("created_at")}) AS runs
    GROUP BY agent_id
), measured AS (
    SELECT agent_id, status, usage,
        {_bucket("started_at - greatest(created_at, run_at)")} AS wait,
        {_bucket("finished_at - started_at")} AS duration
    FROM minute CROSS JOIN LATERAL (
        SELECT agent_id, status, usage, created_at, run_at, started_at, finished_at
        {within.format("finished_at")}) AS runs
), ended AS (
    SELECT agent_id,
        {", ".join(f"count(*) FILTER (WHERE status = '{each}') AS {each}" for each in ended)},
        coalesce(sum((usage->>'input_tokens')::bigint), 0) AS input_tokens,
        coalesce(sum((usage->>'output_tokens')::bigint), 0) AS output_tokens,
        coalesce(sum((usage->>'cost')::float8), 0) AS cost,
        {_histogram("wait")} AS waits, {_histogram("duration")} AS durations
    FROM measured GROUP BY agent_id
), written AS (
    INSERT INTO {names.figures} AS figures (span, begins_at, agent_id, submitted, completed, failed,
        cancelled, input_tokens, output_tokens, cost, waits, durations)
    SELECT span, {_beginning("minute.begins_at")}, agent_id, coalesce(submitted, 0),
        coalesce(completed, 0), coalesce(error, 0), coalesce(cancelled, 0),
        coalesce(input_tokens, 0), coalesce(output_tokens, 0), coalesce(cost, 0), waits, durations
    FROM submitted FULL JOIN ended USING (agent_id), minute, unnest(ARRAY[{MINUTE}, {HOUR}]) AS span
    ORDER BY span, agent_id
    {_adding(NUMBERS[4:])},
        {", ".join(f"{each} = {_sum(each)}" for each in _HISTOGRAMS)}
)
SELECT is_due FROM minute"""


def _sample(names: Names) -> str:
    """Return the statement that counts what runs there are now."""
    pending = (
        f"SELECT agent_id FROM {names.runs} WHERE {STATUS} = 'PENDING' AND session_id IS NOT NULL"
    )
    return f"""
INSERT INTO {names.figures} AS figures
    (span, begins_at, agent_id, samples, executing, due, waiting)
SELECT span, {_beginning("now()")}, agent_id, sum(samples), sum(executing), sum(due), sum(waiting)
FROM (
    SELECT '' AS agent_id, 1 AS samples, 0 AS executing, 0 AS due, 0 AS waiting
    UNION ALL SELECT agent_id, 0, count(*), 0, 0 FROM (
        SELECT agent_id FROM {names.runs} WHERE {STATUS} = 'RUNNING' LIMIT {SAMPLED}) AS executing
    GROUP BY agent_id
    UNION ALL SELECT agent_id, 0, 0, count(*), 0 FROM (
        {pending} AND due_at <= now() LIMIT {SAMPLED}) AS due
    GROUP BY agent_id
    UNION ALL SELECT agent_id, 0, 0, 0, count(*) FROM (
        {pending} AND due_at IS NULL LIMIT {SAMPLED}) AS waiting
    GROUP BY agent_id
) AS found, unnest(ARRAY[{MINUTE}, {HOUR}]) AS span
GROUP BY span, agent_id ORDER BY span, agent_id
{_adding(NUMBERS[:4])}"""


def _find(names: Names) -> str:
    """Return the statement that adds the rows up, a row for each step."""
    sums = ", ".join(f"coalesce(sum({each}), 0)::bigint AS {each}" for each in NUMBERS[:-1])
    histograms = ", ".join(
        f"ARRAY[{', '.join(f'coalesce(sum({each}[{n}]), 0)' for n in _numbers())}]::bigint[] "
        f"AS {each}"
        for each in _HISTOGRAMS
    )
    return f"""
SELECT floor(extract(epoch FROM begins_at) / $2::integer)::bigint * $2 AS at, {sums},
    sum(cost) AS cost, {histograms},
    extract(epoch FROM (SELECT counted_until FROM {names.tick}))::float8 AS counted_until
FROM {names.figures}
WHERE span = $1 AND begins_at >= $3 AND begins_at < $4
    AND begins_at < (SELECT counted_until FROM {names.tick})
    AND ($5::text[] IS NULL OR agent_id = '' OR agent_id = ANY($5))
GROUP BY at ORDER BY at"""


def _numbers() -> range:
    """Return the numbers that a histogram's values have in an array."""
    return range(1, len(BOUNDS) + 2)


def _bucket(time: str) -> str:
    """Return the expression of how many bounds a length of time reaches."""
    return f"width_bucket(extract(epoch FROM {time})::float8, ARRAY{list(BOUNDS)}::float8[])"


def _histogram(bucket: str) -> str:
    counts = ", ".join(f"count(*) FILTER (WHERE {bucket} = {n - 1})" for n in _numbers())
    return f"ARRAY[{counts}]"


def _beginning(moment: str) -> str:
    """Return the expression of the beginning of the span in which a moment is."""
    return f"date_trunc(CASE span WHEN {MINUTE} THEN 'minute' ELSE 'hour' END, {moment}, 'UTC')"


def _adding(columns: Sequence[str]) -> str:
    sums = ", ".join(f"{each} = figures.{each} + excluded.{each}" for each in columns)
    return f"ON CONFLICT (span, begins_at, agent_id) DO UPDATE SET {sums}"


def _sum(histogram: str) -> str:
    """Return the expression of what a row's histogram and one more come to."""
    return f"""CASE WHEN figures.{histogram} IS NULL THEN excluded.{histogram}
            WHEN excluded.{histogram} IS NULL THEN figures.{histogram}
            ELSE ARRAY(SELECT a + b FROM unnest(figures.{histogram}, excluded.{histogram})
                WITH ORDINALITY AS both_of (a, b, n) ORDER BY n) END"""
