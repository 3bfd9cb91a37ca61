"""Freezing another process, as a machine that sleeps does."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from kern.db.database import Database
from kern.db.sqlite import SqliteDb


class Signalled(Protocol):
    """A process that takes signals."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def send(self, number: signal.Signals, /) -> None:
        """Send it a signal."""


async def freeze(process: Signalled, db: Database | None) -> None:
    """Freeze a process while it writes nothing: else it might hold SQLite's file locked."""
    async with asyncio.timeout(20):
        await _stop(process)
        while isinstance(db, SqliteDb) and _is_locked(db):
            process.send(signal.SIGCONT)
            await asyncio.sleep(0.01)
            await _stop(process)


async def _stop(process: Signalled) -> None:
    """Stop a process, and wait until it has: a thread may take a lock on its way there."""
    process.send(signal.SIGSTOP)
    while not _has_stopped(process.pid):  # noqa: ASYNC110 # it is not our child
        await asyncio.sleep(0.001)


def _has_stopped(pid: int) -> bool:
    """Return whether all threads of a process have."""
    try:
        states = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # A thread has ended meanwhile.
        return False
    return all(each.rpartition(")")[2].split()[0] == "T" for each in states)


def _is_locked(db: SqliteDb) -> bool:
    """Return whether somebody holds the file locked for as long as nobody who writes does."""
    with closing(sqlite3.connect(db._file.path, timeout=1, isolation_level=None)) as file:
        try:
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        file.execute("ROLLBACK")
        return False
