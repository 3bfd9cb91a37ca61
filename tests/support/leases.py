"""Moving time for a run: its executor counts as lost from now on."""

import sqlite3

import asyncpg

from kern.db.base import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb


async def expire(db: Database, run_id: str) -> None:
    """Let the lease of a running run, and its entry in the queue, run out."""
    if isinstance(db, PostgresDb):
        connection = await asyncpg.connect(db._dsn)
        await connection.execute(
            f"UPDATE {db._names.runs} SET lease_until = now() - interval '1 second' "
            "WHERE run_id = $1 AND status = 'RUNNING'",
            run_id,
        )
        await connection.execute(
            f"UPDATE {db._names.queue} SET heartbeat = now() - interval '1 hour', "
            "execute_after = now() - interval '1 second' WHERE dedupe_key = $1",
            f"{db.session_table}/{run_id}",
        )
        await connection.close()
    else:
        assert isinstance(db, SqliteDb)
        with sqlite3.connect(db._file.path, timeout=30) as file:
            file.execute(
                f'UPDATE "{db.session_table}_runs" SET lease_until = 0 '
                "WHERE run_id = ? AND status = 'RUNNING'",
                (run_id,),
            )
        file.close()
