"""kern on SQLite, a file."""

import sqlite3
from pathlib import Path

from typing_extensions import override

from bench.contenders.common import Setting, main
from bench.contenders.kern_agent import KernContender
from kern.db.sqlite import SqliteDb


class KernSqlite(KernContender):
    """Durable background runs, on one machine."""

    largest_session = 10_000

    @override
    def database(self, setting: Setting) -> SqliteDb:
        return SqliteDb(_file(setting), setting.table)

    @override
    async def fill(self, run_id: str, session: str | None, count: int) -> None:
        table = f"{self.setting.table}_runs"
        with sqlite3.connect(_file(self.setting)) as connection:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            names = [name for _, name, *_ in columns if name != "position"]
            values = {"run_id": "run_id || '-copy-' || n"}
            connection.execute(
                f"WITH RECURSIVE series(n) AS "
                f"(SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count}) "
                f"INSERT INTO {table} ({', '.join(names)}) "
                f"SELECT {', '.join(values.get(name, name) for name in names)} "
                f"FROM {table}, series WHERE run_id = ?",
                (run_id,),
            )
        connection.close()


def _file(setting: Setting) -> str:
    return str(Path(setting.directory, "kern.db"))


if __name__ == "__main__":
    main(KernSqlite)
