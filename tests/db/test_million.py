"""With a million runs in PostgreSQL, figures and searches read what they have to, and no more."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from kern.db.listing import RunFilter
from kern.db.postgres import PostgresDb
from kern.db.postgres.figures import _count, _find, _sample
from kern.db.postgres.store import PostgresStore
from kern.run.base import RunStatus

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1200)]

NOW = datetime.now(UTC)
NOWHERE = "no input says so"
LIVE = (RunStatus.pending, RunStatus.running)

SEARCHES = {
    "a run": RunFilter(text="run-500000"),
    "many runs": RunFilter(text="run-5"),
    "a session": RunFilter(text="session-4711"),
    "many sessions": RunFilter(text="session-"),
    "agents": RunFilter(text="agent-1"),
    "a user": RunFilter(text="user-12"),
    "an input": RunFilter(text="words"),
    "nothing": RunFilter(text=NOWHERE),
    "nothing that failed": RunFilter(text=NOWHERE, statuses=(RunStatus.error,)),
    "nothing of two agents": RunFilter(text=NOWHERE, agents=("agent-1", "agent-2")),
    "nothing of a user": RunFilter(text=NOWHERE, user_id="user-12"),
    "nothing of the last hour": RunFilter(text=NOWHERE, since=NOW - timedelta(hours=1)),
    "nothing of many agents that is live": RunFilter(
        text=NOWHERE, agents=tuple(f"agent-{number}" for number in range(20)), statuses=LIVE
    ),
    "an agent's that failed": RunFilter(text="agent-1", statuses=(RunStatus.error,)),
    "an agent's that are paused": RunFilter(text="agent-1", statuses=(RunStatus.paused,)),
    "a user's of an agent": RunFilter(text="agent-1", user_id="user-12"),
}


@pytest.fixture
async def store(postgres_db: PostgresDb) -> PostgresStore:
    """A database with a million runs, a hundred a second: 1,000 execute, 50,000 are due."""
    found = await postgres_db.store()
    assert isinstance(found, PostgresStore)
    runs, figures = found.names.runs, found.names.figures
    admin = await asyncpg.connect(postgres_db._dsn)
    await admin.execute(f"""
INSERT INTO {runs} (run_id, session_id, agent_id, user_id, status, input, usage, created_at,
    started_at, finished_at, due_at)
SELECT 'run-' || n, 'session-' || n % 97000, 'agent-' || n % 20,
    CASE WHEN n % 2 = 0 THEN 'user-' || n % 5000 END,
    CASE WHEN n > 999000 THEN 'RUNNING' WHEN n > 949000 THEN 'PENDING'
        WHEN n % 97 = 0 THEN 'ERROR' ELSE 'COMPLETED' END,
    json_build_object('messages', json_build_array(json_build_object('content',
        'What is the price of item ' || n || '? ' || repeat('words ', 30)))),
    '{{"input_tokens":100,"output_tokens":20,"cost":0.001}}', at, at,
    CASE WHEN n <= 949000 THEN at + interval '5 s' END,
    CASE WHEN n > 949000 AND n <= 999000 THEN at END
FROM (SELECT n, now() - make_interval(secs => (1000000 - n) * 0.01) AS at
    FROM generate_series(1, 1000000) AS n) AS run""")
    await admin.execute(f"""
INSERT INTO {figures} (span, begins_at, agent_id, submitted, waits, durations)
SELECT span, at, 'agent-' || agent, 5, array_fill(1::bigint, ARRAY[20]),
    array_fill(1::bigint, ARRAY[20])
FROM generate_series(0, 19) AS agent, (
    SELECT 60 AS span, generate_series(date_trunc('minute', now()) - interval '2 days',
        now() - interval '4 hours', interval '1 minute') AS at
    UNION ALL SELECT 3600, generate_series(date_trunc('hour', now()) - interval '30 days',
        now() - interval '4 hours', interval '1 hour')) AS step""")
    for table in (runs, figures):
        await admin.execute(f"VACUUM ANALYZE {table}")
    await admin.close()
    return found


def _pages(plan: dict[str, Any]) -> Iterator[int]:
    """Yield how many pages each node of a plan has read; some are in no other's figures."""
    yield plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    for each in plan.get("Plans", ()):
        yield from _pages(each)


async def test_figures_and_searches_among_a_million_runs_read_few_pages(
    store: PostgresStore,
) -> None:
    read: dict[str, int] = {}
    too_much: dict[str, tuple[int, int]] = {}

    async def explain(name: str, bound: int, statement: str, *values: object) -> None:
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        [found] = json.loads(await store.pool.fetchval(explained, *values))
        read[name] = max(_pages(found["Plan"]))
        if read[name] > bound:
            too_much[name] = read[name], bound

    # Of a minute it reads 6,000 runs that were accepted, and as many that ended.
    await explain("a minute", 3000, _count(store.names))
    await explain("a sample", 10_000, _sample(store.names))
    for hours, step, span in ((1, 60, 60), (24, 300, 60), (168, 3600, 3600), (720, 10800, 3600)):
        since = NOW - timedelta(hours=hours)
        bound = 50 + 2 * 20 * hours * 3600 // span
        values = (span, step, since, NOW, None)
        await explain(f"{hours} hours", bound, _find(store.names), *values)
    for name, wanted in SEARCHES.items():
        statement, given = store._reading.find(wanted, 50, None)
        await explain(name, 20_000, statement, *given)
    print(read)  # What is measured is what the nightly run is for.
    assert too_much == {}
    assert len(await store.find(SEARCHES["a run"], 50)) == 1
