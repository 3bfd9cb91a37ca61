"""The processes that execute runs, in PostgreSQL."""

import json
from collections.abc import Awaitable, Callable

import asyncpg
from typing_extensions import override

from kern.db.postgres.names import Names
from kern.db.processes import Process, Processes

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = "executor, host, pid, agents, version, slots, executing, heartbeat, started_at, beat_at"


class PostgresProcesses(Processes):
    """The processes beside one session table."""

    def __init__(self, fetch: Fetch, names: Names) -> None:
        """Send statements with ``fetch``."""
        self._fetch = fetch
        table = names.processes
        self._beat = f"""
INSERT INTO {table} ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, now()), now())
ON CONFLICT (executor) DO UPDATE SET agents = excluded.agents, version = excluded.version,
    slots = excluded.slots, executing = excluded.executing,
    heartbeat = excluded.heartbeat, beat_at = excluded.beat_at"""
        self._leave = f"DELETE FROM {table} WHERE executor = $1"
        self._find = f"""
SELECT {_COLUMNS}, extract(epoch FROM now() - beat_at)::float8 AS silence
FROM {table} WHERE beat_at >= now() - make_interval(secs => $1)
ORDER BY started_at, executor"""

    @override
    async def beat(self, process: Process) -> None:
        await self._fetch(
            self._beat,
            process.executor,
            process.host,
            process.pid,
            json.dumps(process.agents),
            process.version,
            process.slots,
            process.executing,
            process.heartbeat,
            process.started_at,
        )

    @override
    async def leave(self, executor: str) -> None:
        await self._fetch(self._leave, executor)

    @override
    async def find(self, seen_within: float) -> list[Process]:
        rows = await self._fetch(self._find, seen_within)
        return [_process(row) for row in rows]


def _process(row: asyncpg.Record) -> Process:
    values = dict(row) | {"agents": tuple(json.loads(row["agents"]))}
    if values["heartbeat"] is None:  # It was written by a kern of the tables' first version.
        del values["heartbeat"]
    return Process(**values)
