"""The sweep of PostgreSQL: who advances the tick makes good what lost processes left undone."""

from datetime import UTC, datetime

from kern.db.erasing import Erasing
from kern.db.postgres.connections import Connections
from kern.db.postgres.hand_off import HandOff
from kern.db.postgres.names import Names
from kern.db.postgres.statements import Sweeping
from kern.db.postgres.statements.sweeping import EXPIRED, KEYS, SESSIONS
from kern.db.values import Swept

# Before every run that is due.
_FIRST: tuple[datetime, int] = (datetime.fromtimestamp(0, UTC), 0)


class Sweep:
    """Sweeps one session table's runs, if nobody has within a heartbeat."""

    def __init__(
        self, connections: Connections, names: Names, hand_off: HandOff, erasing: Erasing
    ) -> None:
        """Send statements over ``connections``."""
        self._connections = connections
        self._hand_off = hand_off
        self._erasing = erasing
        self._statements = Sweeping(names)
        # Where the next page begins.
        self._due = _FIRST
        self._session = ""
        self._key = ""

    async def __call__(self, heartbeat: float) -> Swept | None:
        """Do what the store's ``sweep`` says."""
        ticks = await self._connections.fetch(self._statements.advance, heartbeat)
        if not ticks:
            return None
        expired = await self._expire() if ticks[0]["may_expire"] else []
        if ticks[0]["may_erase"] or expired:
            await self._erasing.sweep()
        await self._hand_off_locks()
        await self._try_limits()
        return Swept(expired, await self._enqueue_again())

    async def _expire(self) -> list[str]:
        expired: list[str] = []
        while rows := await self._connections.fetch(self._statements.expire):
            await self._hand_off.finish(rows)
            expired += [row["run_id"] for row in rows]
            if len(rows) < EXPIRED:
                break
        return expired

    async def _hand_off_locks(self) -> None:
        rows = await self._connections.fetch(self._statements.locks_of_ended, self._session)
        self._session = rows[-1]["session_id"] if len(rows) == SESSIONS else ""
        for row in rows:
            if row["has_ended"]:
                await self._hand_off.of(row["session_id"], row["holder"])

    async def _try_limits(self) -> None:
        rows = await self._connections.fetch(self._statements.try_limits, self._key)
        self._key = rows[-1]["key"] if len(rows) == KEYS else ""

    async def _enqueue_again(self) -> int:
        rows = await self._connections.fetch(self._statements.enqueue_again, *self._due)
        enqueued: int
        [(enqueued, due_at, position)] = rows
        self._due = _FIRST if due_at is None else (due_at, position)
        return enqueued
