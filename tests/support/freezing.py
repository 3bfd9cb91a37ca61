"""Freezing another process, as a machine that sleeps does."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from typing import Protocol

from kern.db.database import Database
from kern.db.sqlite import SqliteDb


class Signalled(Protocol):
    """A process that takes signals."""

    def send(self, number: signal.Signals, /) -> None:
        """Send it a signal."""


async def freeze(process: Signalled, db: Database | None) -> None:
    """Freeze a process while it writes nothing: else it might hold SQLite's file locked."""
    async with asyncio.timeout(20):
        process.send(signal.SIGSTOP)
        while isinstance(db, SqliteDb) and _is_locked(db):
            process.send(signal.SIGCONT)
            await asyncio.sleep(0.01)
            process.send(signal.SIGSTOP)


def _is_locked(db: SqliteDb) -> bool:
    """Return whether somebody holds the file locked for as long as nobody who writes does."""
    with closing(sqlite3.connect(db._file.path, timeout=1, isolation_level=None)) as file:
        try:
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        file.execute("ROLLBACK")
        return False
