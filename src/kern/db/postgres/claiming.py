"""Claims in PostgreSQL: batched, or one by one where a limit is to be kept."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import asyncpg
from msgspec.structs import replace

from kern.aio.batch import Batcher
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.hand_off import HandOff
from kern.db.postgres.names import Names
from kern.db.postgres.rows import record
from kern.db.postgres.statements import Limits, Reading, SessionLock, Steps
from kern.db.values import Claim, newer_journal
from kern.run.record import RunRecord

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


# How many runs become due at once where there is no limit, or none any more.
_MANY = 1000


class _Claimed(NamedTuple):
    record: RunRecord | None = None
    needs_session_lock: bool = False
    is_newer: bool = False


class _Key(NamedTuple):
    """A key of which only so many runs may execute at once; None for any number."""

    name: str
    limit: int | None
    owners: tuple[str, ...]


class Claiming:
    """Begins runs, and makes those due that wait for a limit."""

    def __init__(self, connections: Connections, names: Names, hand_off: HandOff) -> None:
        """Send statements over ``connections``."""
        self._connections = connections
        self._names = names
        self._hand_off = hand_off
        self._steps = Steps(names)
        self._limits = Limits(names)
        self._last_seq = Reading(names).last_seq
        self._request_session_lock = SessionLock(names).request
        self._claims = Batcher(self._claim_all)

    async def claim(self, run_id: str, claim: Claim) -> RunRecord | None:
        """Begin a run, as the store's ``claim`` says."""
        claimed = await self._claim(run_id, claim)
        if claimed.is_newer:
            raise newer_journal(run_id)
        if not claimed.needs_session_lock:
            return claimed.record
        locked = await self._connections.fetch(self._request_session_lock, run_id)
        if not locked:
            return None
        claimed = await self._claim(run_id, claim)
        if claimed.record is None:  # It may have been cancelled before it had the session lock.
            await self._hand_off.of(locked[0]["session_id"], run_id)
        return claimed.record

    async def answered(self) -> None:
        """Wait until the claims made so far have been answered, also for those who have left."""
        await self._claims.answered()

    async def make_due(self, agent_id: str, user_id: str | None, claim: Claim) -> None:
        """Make runs that wait for a limit due, as the store's ``make_due`` says."""
        for key in _keys(agent_id, user_id, claim):
            async with self._connections.transaction() as connection:
                room = await self._room(connection, key, [])
                if room > 0:
                    await connection.execute(self._limits.make_due, key.name, room)

    async def _claim(self, run_id: str, claim: Claim) -> _Claimed:
        if not claim.is_limited:
            return await self._claims.put((run_id, claim))
        owners = await self._connections.fetch(self._limits.owner, run_id)
        if not owners:
            return _Claimed()
        if owners[0]["is_orphan"]:  # It ends here, and waits for nothing.
            return await self._claims.put((run_id, claim))
        if owners[0]["needs_lock"]:
            return _Claimed(needs_session_lock=True)
        of_agent, *of_user = _keys(owners[0]["agent_id"], owners[0]["user_id"], claim)
        async with self._connections.transaction() as connection:
            ancestors = owners[0]["ancestors"]
            room = await self._room(connection, of_agent, ancestors)
            for key in of_user:
                if await self._room(connection, key, ancestors) <= 0:
                    await connection.execute(self._limits.wait, run_id, key.name)
                    # The room of the agent is for others, who do not wait for this user.
                    await connection.execute(self._limits.make_due, of_agent.name, max(0, room))
                    return _Claimed()
            if room <= 0:
                await connection.execute(self._limits.wait, run_id, of_agent.name)
                return _Claimed()
            claimed, rows = await self._claim_with(connection.fetch, [(run_id, claim)])
        await self._hand_off.finish(rows)
        return claimed[0]

    async def _room(self, connection: Connection, key: _Key, ancestors: Sequence[str]) -> int:
        """Return for how many runs a key has room; locked until the transaction ends.

        A run's ancestors do not count: they may wait for it without saying so.
        """
        if key.limit is None:
            return _MANY
        names = self._names
        lock = f"kern/{names.schema}/{names.session_table}/{key.name}"
        await connection.execute(self._limits.lock_key, lock)
        counted = self._limits.counted_of_user if len(key.owners) > 1 else self._limits.counted
        count: int = await connection.fetchval(counted, ancestors, *key.owners)
        return key.limit - count

    async def _claim_all(self, claims: Sequence[tuple[str, Claim]]) -> list[_Claimed]:
        claimed, rows = await self._claim_with(self._connections.fetch, claims)
        await self._hand_off.finish(rows)
        return claimed

    async def _claim_with(
        self, fetch: Fetch, claims: Sequence[tuple[str, Claim]]
    ) -> tuple[list[_Claimed], list[asyncpg.Record]]:
        rows = await fetch(
            self._steps.claim,
            [run_id for run_id, _ in claims],
            [claim.lease for _, claim in claims],
            [claim.executor for _, claim in claims],
            [claim.is_limited for _, claim in claims],
            [claim.journal_version for _, claim in claims],
        )
        claimed = {row["due_run_id"]: _claimed(row) for row in rows}
        # The claim waits for what the attempt before it is writing, but its snapshot is older.
        again = [
            each.record for each in claimed.values() if each.record and each.record.attempt > 1
        ]
        if again:
            for row in await fetch(self._last_seq, [each.run_id for each in again]):
                old = claimed[row["run_id"]].record
                assert old is not None
                claimed[old.run_id] = _Claimed(replace(old, last_seq=row["last_seq"]))
        # Two claims of one run in a batch are one attempt: that of the first.
        return [claimed.pop(run_id, _Claimed()) for run_id, _ in claims], rows


def _claimed(row: asyncpg.Record) -> _Claimed:
    if row["run_id"] is not None:
        return _Claimed(record(row))
    return _Claimed(is_newer=True) if row["is_newer"] else _Claimed(needs_session_lock=True)


def _keys(agent_id: str, user_id: str | None, claim: Claim) -> list[_Key]:
    """Return the keys of a run, in the order in which they are locked."""
    keys = [_Key(f"agent/{agent_id}", claim.agent_limit, (agent_id,))]
    if user_id is not None:
        name = f"user/{len(agent_id)}/{agent_id}/{user_id}"
        keys.append(_Key(name, claim.user_limit, (agent_id, user_id)))
    return keys
