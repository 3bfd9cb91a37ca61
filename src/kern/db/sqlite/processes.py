"""The processes that execute runs, in SQLite."""

import json
import sqlite3

from typing_extensions import override

from kern.db.processes import Process, Processes
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.reading import moment


class SqliteProcesses(Processes):
    """The processes beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._processes = file.tables.processes

    @override
    async def beat(self, process: Process) -> None:
        await self._file.write(self._beat, process)

    @override
    async def leave(self, executor: str) -> None:
        await self._file.write(self._leave, executor)

    @override
    async def find(self, seen_within: float) -> list[Process]:
        return await self._file.read(self._find, seen_within)

    def _beat(self, transaction: Transaction, process: Process) -> None:
        transaction.execute(
            f"""
INSERT INTO {self._processes} (executor, host, pid, agents, version, slots, executing, heartbeat,
    started_at, beat_at)
VALUES (:executor, :host, :pid, :agents, :version, :slots, :executing, :heartbeat,
    coalesce(:started_at, :now), :now)
ON CONFLICT (executor) DO UPDATE SET agents = excluded.agents, version = excluded.version,
    slots = excluded.slots, executing = excluded.executing,
    heartbeat = excluded.heartbeat, beat_at = excluded.beat_at""",
            executor=process.executor,
            host=process.host,
            pid=process.pid,
            agents=json.dumps(process.agents),
            version=process.version,
            slots=process.slots,
            executing=process.executing,
            heartbeat=process.heartbeat,
            started_at=None if process.started_at is None else process.started_at.timestamp(),
        )

    def _leave(self, transaction: Transaction, executor: str) -> None:
        transaction.execute(
            f"DELETE FROM {self._processes} WHERE executor = :executor", executor=executor
        )

    def _find(self, transaction: Transaction, seen_within: float) -> list[Process]:
        rows = transaction.execute(
            "SELECT executor, host, pid, agents, version, slots, executing, heartbeat, started_at, "
            f"beat_at, :now - beat_at AS silence FROM {self._processes} "
            "WHERE beat_at >= :now - :seconds ORDER BY started_at, executor",
            seconds=seen_within,
        ).fetchall()
        return [_process(row) for row in rows]


def _process(row: sqlite3.Row) -> Process:
    values = dict(row)
    values["agents"] = tuple(json.loads(values["agents"]))
    for column in ("started_at", "beat_at"):
        values[column] = moment(values[column])
    if values["heartbeat"] is None:  # It was written by a kern of the tables' first version.
        del values["heartbeat"]
    return Process(**values)
