"""What PostgreSQL itself counts: WAL, statements, pages, processor time, rows and bytes."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import asyncpg
import psutil
from scale_agent import SCHEMA, TABLE

LOCAL = ("localhost", "127.0.0.1", "::1")

_TABLES = {
    f"{TABLE}_runs": "runs",
    TABLE: "sessions",
    f"{TABLE}_run_events": "journal",
    "pgqueuer": "queue",
    "pgqueuer_log": "queue's log",
}


@dataclass(frozen=True)
class Counts:
    """What a server has counted since it was started.

    Attributes:
        wal: bytes of write-ahead log.
        images: whole pages in it, written at a page's first change after a checkpoint.
        statements: transactions that ended in the database; kern's are one statement each.
        pages: pages of 8 kB that were looked at in the database, in memory or not.
        reads: those of them that were not in PostgreSQL's memory.
        processor: seconds of processor time of all PostgreSQL's processes; 0 where the server is
            on another machine.
        own: seconds of processor time of this process.
        time: seconds of the clock.
    """

    wal: float
    images: float
    statements: float
    pages: float
    reads: float
    processor: float
    own: float
    time: float

    def __sub__(self, other: Self) -> "Counts":
        mine, its = asdict(self), asdict(other)
        return Counts(**{name: mine[name] - its[name] for name in mine})

    def less(self, idle: "Counts") -> "Counts":
        """Return the counts without those of idling, ``idle`` in a second."""
        mine, spent = asdict(self), asdict(idle)
        kept = {"own", "time"}
        return Counts(**{n: mine[n] if n in kept else mine[n] - spent[n] * self.time for n in mine})


@dataclass(frozen=True)
class TableState:
    """A table as it is.

    Attributes:
        rows: how many rows it has, dead ones not counted.
        bytes: on disk without indexes, long values included.
        index_bytes: of its indexes on disk.
        updated: rows that were updated so far.
        in_place: those of them that changed no index (HOT).
        deleted: rows that were deleted so far.
        dead: rows that wait for the vacuum.
        vacuums: how often the autovacuum has been there.
        indexes: bytes of each index on disk.
    """

    rows: int
    bytes: int
    index_bytes: int
    updated: int
    in_place: int
    deleted: int
    dead: int
    vacuums: int
    indexes: Mapping[str, int]


class Meter:
    """Reads the counts over a connection of its own."""

    def __init__(self, connection: asyncpg.Connection, server: psutil.Process | None) -> None:
        self.connection = connection
        self._server = server

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect; PostgreSQL's processes are found where it runs on this machine."""
        connection = await asyncpg.connect(url)
        backend = await connection.fetchval(
            "SELECT pg_backend_pid() WHERE inet_server_addr() = inet_client_addr()"
        )
        server = None
        if backend is not None and psutil.pid_exists(backend):
            process = psutil.Process(backend)
            server = process.parent() if process.name() == "postgres" else None
        return cls(connection, server)

    async def read(self) -> Counts:
        """Return the counts; what is to be counted has closed its connections by now."""
        await asyncio.sleep(0.7)
        await self.connection.execute("SELECT pg_stat_clear_snapshot()")
        row = await self.connection.fetchrow(
            "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal, "
            "(SELECT wal_fpi FROM pg_stat_wal) AS images, "
            "xact_commit + xact_rollback AS statements, "
            "blks_hit + blks_read AS pages, blks_read AS reads "
            "FROM pg_stat_database WHERE datname = current_database()"
        )
        assert row is not None
        own = os.times()
        return Counts(
            **{name: float(value) for name, value in row.items()},
            processor=self._processor(),
            own=own.user + own.system,
            time=time.monotonic(),
        )

    async def tables(self, first: str | None = None) -> dict[str, TableState]:
        """Return the tables by what they hold.

        Args:
            first: what is done with each before: ``VACUUM ANALYZE``, ``VACUUM FULL``.
        """
        states = {}
        for name, title in _TABLES.items():
            if first is not None:
                await self.connection.execute(f'{first} {SCHEMA}."{name}"', timeout=600)
            states[title] = await self._table(name)
        return states

    async def _table(self, name: str) -> TableState:
        table = f'{SCHEMA}."{name}"'
        sizes = await self.connection.fetch(
            "SELECT indexrelid::regclass::text AS name, pg_relation_size(indexrelid) AS bytes "
            "FROM pg_index WHERE indrelid = $1::text::regclass",
            table,
        )
        row = await self.connection.fetchrow(
            "SELECT pg_table_size(relid) AS bytes, pg_indexes_size(relid) AS index_bytes, "
            "n_tup_upd AS updated, n_tup_hot_upd AS in_place, n_tup_del AS deleted, "
            "n_dead_tup AS dead, autovacuum_count AS vacuums, n_live_tup AS rows "
            "FROM pg_stat_user_tables WHERE relid = $1::text::regclass",
            table,
        )
        assert row is not None
        return TableState(**row, indexes={each["name"]: each["bytes"] for each in sizes})

    def _processor(self) -> float:
        """Return the processor time of the server, its processes that have ended included."""
        if self._server is None:
            return 0.0
        spent = sum(self._server.cpu_times()[:4])
        for process in self._server.children(recursive=True):
            try:
                spent += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:  # It is in its parent's time by now, or will be.
                continue
        return spent
