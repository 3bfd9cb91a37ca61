"""Erasing runs in PostgreSQL."""

from collections.abc import Sequence

from typing_extensions import override

from kern.db.erasing import Erasing, Family, without_summary
from kern.db.postgres.connections import Connections
from kern.db.postgres.names import Names
from kern.db.postgres.retention import forget_sessions
from kern.db.postgres.statements import Erasing as Statements

_IS_BARE = "name IS NULL AND metadata IS NULL AND summary IS NULL AND data IS NULL"


class PostgresErasing(Erasing):
    """Erases runs beside one session table."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Write the statements for ``names``."""
        self._connections = connections
        self._names = names
        self._statements = Statements(names)
        self._is_bare = f"""{_IS_BARE} AND NOT EXISTS (SELECT FROM {names.states} AS state
            WHERE state.session_id = session.session_id)"""

    @override
    async def hide(self, run_id: str) -> bool | None:
        await self._forget_summaries(run_id)  # First: who is lost in between erases it again.
        rows = await self._connections.fetch(self._statements.hide, run_id)
        is_hidden = bool(rows) and (None if rows[0]["lives"] else True)
        if is_hidden:  # Others may have ended meanwhile that had been told what it has said.
            await self._forget_summaries(run_id)
        return is_hidden

    @override
    async def _erase(self, run_ids: Sequence[str]) -> Family:
        rows = await self._connections.fetch(self._statements.erase, list(run_ids))
        return Family(
            [row["run_id"] for row in rows if row["run_id"] is not None],
            [row["session_id"] for row in rows if row["session_id"] is not None],
        )

    async def _forget_summaries(self, run_id: str) -> None:
        """Have no later run of its session hold what may sum up this one."""
        statements, fetch = self._statements, self._connections.fetch
        for later in await fetch(statements.summing, run_id):
            for row in await fetch(statements.output, later["run_id"]):
                output = without_summary(row["output"] or "{}")
                await fetch(statements.put_output, later["run_id"], output, row["attempt"])

    @override
    async def _forget(self, session_ids: Sequence[str]) -> None:
        await forget_sessions(self._connections, self._names, session_ids, self._is_bare)

    @override
    async def _left(self) -> list[str]:
        return [row["run_id"] for row in await self._connections.fetch(self._statements.left)]
