"""kern on PostgreSQL."""

from typing import Any
from unittest.mock import patch

import asyncpg
from typing_extensions import override

from bench.contenders.common import Setting, main
from bench.contenders.kern_agent import KernContender
from kern.db.postgres import PostgresDb


class KernPostgres(KernContender):
    """Durable background runs."""

    largest_session = 10_000

    @override
    async def open(self, setting: Setting) -> None:
        self._statements = 0
        if "readers" in setting.figures:
            self._count_statements()
        await super().open(setting)

    @override
    def statements(self) -> int:
        return self._statements

    def _count_statements(self) -> None:
        """Have every connection that is opened from now on count what is sent over it."""
        connect = asyncpg.connect

        def count(_: object) -> None:
            self._statements += 1

        async def connect_counted(*arguments: Any, **more: Any) -> asyncpg.Connection:
            connection: asyncpg.Connection = await connect(*arguments, **more)
            connection.add_query_logger(count)
            return connection

        patch("asyncpg.connect", connect_counted).start()

    @override
    def database(self, setting: Setting) -> PostgresDb:
        return PostgresDb(setting.database, setting.table)

    @override
    async def fill(self, run_id: str, session: str | None, count: int) -> None:
        table = f"{self.setting.table}_runs"
        connection = await asyncpg.connect(self.setting.database)
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'kern' AND table_name = $1 AND column_name <> 'position'",
            table,
        )
        names = [row["column_name"] for row in columns]
        values = {"run_id": "run_id || '-copy-' || n"} | (
            {} if session else {"session_id": "'crowd-' || n / 10"}
        )
        await connection.execute(
            f"INSERT INTO kern.{table} ({', '.join(names)}) "
            f"SELECT {', '.join(values.get(name, name) for name in names)} "
            f"FROM kern.{table}, generate_series(1, {count}) AS n WHERE run_id = $1",
            run_id,
            timeout=600,
        )
        await connection.execute(f"VACUUM ANALYZE kern.{table}", timeout=600)
        await connection.close()


if __name__ == "__main__":
    main(KernPostgres)
