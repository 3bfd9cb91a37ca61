"""PostgreSQL, open for one event loop."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from typing_extensions import override

from kern.aio.batch import Batcher
from kern.db.base import Store
from kern.db.listing import Load, RunFilter
from kern.db.postgres.accepting import Accepting
from kern.db.postgres.approvals import PostgresApprovals
from kern.db.postgres.blobs import PostgresBlobs
from kern.db.postgres.budgets import PostgresBudgets
from kern.db.postgres.claiming import Claiming
from kern.db.postgres.components import PostgresComponents
from kern.db.postgres.connections import Connections
from kern.db.postgres.contents import PostgresContents
from kern.db.postgres.erasing import PostgresErasing
from kern.db.postgres.figures import PostgresFigures
from kern.db.postgres.hand_off import HandOff
from kern.db.postgres.keys import PostgresKeys
from kern.db.postgres.listener import Subscription
from kern.db.postgres.memories import PostgresMemories
from kern.db.postgres.names import Names
from kern.db.postgres.outbox import PostgresOutbox
from kern.db.postgres.overview import PostgresOverview
from kern.db.postgres.processes import PostgresProcesses
from kern.db.postgres.queue import PostgresQueue
from kern.db.postgres.retention import PostgresRetention
from kern.db.postgres.rows import columns, journal_columns, record, used_columns
from kern.db.postgres.schedules import PostgresSchedules
from kern.db.postgres.sessions import PostgresSessions
from kern.db.postgres.statements import Limits, Reading, Resuming, SessionLock, Steps
from kern.db.postgres.states import PostgresStates
from kern.db.postgres.sweep import Sweep
from kern.db.postgres.users import PostgresUsers
from kern.db.postgres.writing import Append, Writing
from kern.db.values import (
    ANYWHERE,
    Accepted,
    Appended,
    Claim,
    Kind,
    PoolUse,
    Resume,
    Settled,
    Signal,
    Swept,
    newer_journal,
)
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement
from kern.run.state import StatePatch


class PostgresStore(Store):
    """Runs and sessions in PostgreSQL, over a pool of connections."""

    def __init__(self, connections: Connections, names: Names) -> None:
        """Use the tables of ``names``, which exist."""
        super().__init__()
        self.connections = connections
        self.pool = connections.pool
        self.names = names
        self.queue = self._queue = PostgresQueue(connections, names)
        self.schedules = PostgresSchedules(connections.fetch, names)
        self.retention = PostgresRetention(connections, names)
        self.outbox = PostgresOutbox(connections.fetch, names)
        self.processes = PostgresProcesses(connections.fetch, names)
        self.overview = PostgresOverview(connections.fetch, names)
        self.blobs = PostgresBlobs(connections.fetch, names)
        self._fetch = connections.fetch
        self._steps = Steps(names)
        self.approvals = self._approvals = PostgresApprovals(connections, names)
        self._reading = Reading(names)
        self._resuming = Resuming(names)
        self._session_lock = SessionLock(names)
        self._set_counted = Limits(names).set_counted
        self._hand_off = HandOff(connections, names)
        self.budgets = PostgresBudgets(connections.fetch, names)
        self.keys = PostgresKeys(connections.fetch, names)
        self.contents = PostgresContents(connections.fetch, names)
        self.components = PostgresComponents(connections, names)
        self.states = PostgresStates(connections.fetch, names)
        self._accepting = Accepting(connections, names, self._hand_off, self.budgets)
        self.users = PostgresUsers(connections, names, self._accepting, self._queue)
        self.sessions = PostgresSessions(connections, names, self)
        self._claiming = Claiming(connections, names, self._hand_off)
        self.erasing = PostgresErasing(connections, names)
        self.figures = PostgresFigures(connections.fetch, names)
        self._sweep = Sweep(connections, names, self._hand_off, self.erasing)
        self._writing = Writing(connections, names, self._hand_off, self._approvals)
        self.memories = PostgresMemories(connections, names, self._writing)
        self._listeners: list[Subscription] = []
        self._gets = Batcher(self._get_all)
        self._watches = Batcher(self._watch_all)

    def __repr__(self) -> str:
        return f"{self.names.sessions} in PostgreSQL at {self.connections.address}"

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return await self._accepting.submit(run)

    @override
    async def submit_with(self, connection: object, run: NewRun) -> Accepted | None:
        accepted = await self._accepting.submit_with(connection, run)
        if accepted is not None and run.media:
            fetch = partial(self._accepting.fetch_within, connection, run.run_id)
            blobs = PostgresBlobs(fetch, self.names)
            for hash, data in run.media.items():
                await blobs.put(run.run_id, data, hash)
        return accepted

    @override
    async def rolled_back(self, runs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        rows = await self._fetch(self._reading.rolled_back, *columns(runs, 2))
        return [(row["run_id"], row["transaction"]) for row in rows]

    @override
    async def follow(self, run: NewRun, ended: str, attempt: int) -> Accepted | None:
        return await self._accepting.follow(run, ended, attempt)

    @override
    async def fork(
        self,
        run: NewRun,
        origin: str,
        seq: int,
        state: StatePatch | None = None,
        *,
        replaces: bool = False,
    ) -> Accepted | None:
        return await self._accepting.fork(run, origin, seq, state, replaces=replaces)

    @override
    async def cancel(self, run_id: str, user_id: str | None = None) -> bool:
        return await self._accepting.cancel(run_id, user_id)

    @override
    async def held(self, run_id: str, executor: str) -> RunRecord | None:
        # What gave it to the executor may be on its way yet.
        await self._accepting.answered()
        await self._claiming.answered()
        rows = await self._fetch(self._reading.held, run_id, executor)
        return record(rows[0]) if rows else None

    @override
    async def withdraw(self, run_id: str) -> bool:
        return bool(await self._fetch(self._session_lock.withdraw, run_id))

    @override
    async def before(self, run_id: str) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._session_lock.before, run_id)]

    @override
    async def queued(self, agent_id: str) -> int:
        count: int = (await self._fetch(self._reading.queued, agent_id))[0]["queued"]
        return count

    @override
    async def queued_of_user(self, user_id: str) -> int:
        count: int = (await self._fetch(self._reading.queued_of_user, user_id))[0]["queued"]
        return count

    @override
    async def claim(self, run_id: str, claim: Claim) -> RunRecord | None:
        return await self._claiming.claim(run_id, claim)

    @override
    async def make_due(self, agent_id: str, user_id: str | None, claim: Claim) -> None:
        await self._claiming.make_due(agent_id, user_id, claim)

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> Appended | None:
        return await self._writing.appends.put(Append(run_id, attempt, rows, streamed))

    @override
    async def replace_input(self, run_id: str, attempt: int, input: str) -> bool:
        return bool(await self._fetch(self._steps.replace_input, run_id, attempt, input))

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        rows = await self._fetch(self._steps.extend, *columns(attempts, 2), lease)
        return {row["run_id"]: row["cancelled"] for row in rows}

    @override
    async def settle(self, settlement: Settlement) -> Settled | None:
        return await self._writing.settle(settlement)

    @override
    async def postpone(
        self,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        *,
        failed: bool = True,
    ) -> RunStatus | None:
        journal = journal_columns([(attempt, row) for row in rows])[2:] + used_columns(rows)
        return await self._give_up(
            self._steps.postpone, run_id, attempt, delay, *journal, int(failed)
        )

    @override
    async def release(self, run_id: str, attempt: int) -> RunStatus | None:
        return await self._give_up(self._steps.release, run_id, attempt)

    @override
    async def refuse(
        self, run_id: str, attempt: int, reason: str, delay: float, unserved_timeout: timedelta
    ) -> RunStatus | None:
        seconds = unserved_timeout.total_seconds()
        return await self._give_up(self._steps.refuse, run_id, attempt, reason, delay, seconds)

    @override
    async def set_counted(self, run_id: str, attempt: int, counted: bool) -> None:
        await self._fetch(self._set_counted, run_id, attempt, counted)

    @override
    async def sweep(self, heartbeat: float) -> Swept | None:
        return await self._sweep(heartbeat)

    @override
    async def children(self, run_id: str) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._reading.children, run_id)]

    @override
    async def ended_children(self, run_id: str) -> list[tuple[str, int]]:
        rows = await self._fetch(self._reading.ended_children, run_id)
        return [(row["run_id"], row["attempt"]) for row in rows]

    @override
    async def usage_of_children(self, run_id: str) -> list[str]:
        rows = await self._fetch(self._reading.usage_of_children, run_id)
        return [row["usage"] for row in rows]

    @override
    async def usage_of_session(self, session_id: str) -> list[tuple[str, float]]:
        rows = await self._fetch(self._reading.usage_of_session, session_id)
        return [(row["key"], row["value"]) for row in rows]

    @override
    async def wanted(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        rows = await self._fetch(self._reading.wanted, list(run_ids))
        return [(row["run_id"], row["cancelled"], row["streamed"]) for row in rows]

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        if not with_input:
            return await self._gets.put(run_id)
        rows = await self._fetch(self._reading.get_with_input, run_id)
        return record(rows[0]) if rows else None

    @override
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        statement, values = self._reading.find(wanted, limit, before)
        return [record(row) for row in await self._fetch(statement, *values)]

    @override
    async def load(self) -> Load:
        return Load(*(await self._fetch(self._reading.load))[0])

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in await self._fetch(self._reading.events, run_id, after)]

    @override
    async def watch(self, run_id: str) -> RunRecord | None:
        return await self._watches.put(run_id)

    @override
    async def read(self, run_id: str) -> bool:
        return bool(await self._fetch(self._reading.read, run_id))

    @override
    async def history(
        self,
        session_id: str,
        before: str,
        limit: int,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
    ) -> list[tuple[str, str]]:
        rows = await self._fetch(
            self._reading.history, session_id, before, limit, agent_id, user_id
        )
        return [(row["run_id"], row["output"]) for row in reversed(rows)]

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        rows = await self._fetch(self._reading.outputs, list(run_ids))
        return [(row["run_id"], row["output"]) for row in rows]

    @override
    async def resume(
        self,
        run_id: str,
        status: RunStatus,
        attempt: int,
        rows: Sequence[JournalRow],
        how: Resume = ANYWHERE,
    ) -> RunRecord | None:
        journal = journal_columns([(attempt, row) for row in rows])[2:]
        values = (run_id, status, attempt, *journal, *how[:5])
        if not how.resolved:
            found = await self._fetch(self._resuming.resume, *values)
        else:
            async with self.connections.transaction() as connection:
                found = await connection.fetch(self._resuming.resume, *values)
                if found:
                    await self._approvals.resolve(connection, how.resolved)
        if found:
            return record(found[0])
        known = None if how.executor is None else await self.get(run_id)
        if known is not None and known.journal_version > how.journal_version:
            raise newer_journal(run_id)
        return None

    @override
    async def wake_parent(self, run_id: str) -> None:
        await self._fetch(self._resuming.wake_parent, run_id)

    @override
    async def expired_pauses(self, limit: int) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._resuming.expire, limit)]

    @override
    async def ping(self) -> None:
        await self._fetch("SELECT 1")

    @override
    async def listen(self, on_signal: Callable[[Signal], None]) -> None:
        def notified(payload: str) -> None:
            kind, _, run_id = payload.partition(" ")
            if kind in Kind.__members__:
                on_signal(Signal(Kind[kind], run_id))

        listener = self.connections.listener(
            self.names.channel,
            notified,
            lost=lambda: on_signal(Signal(Kind.away)),
            back=lambda: on_signal(Signal(Kind.resync)),
        )
        await listener.start()
        self._listeners.append(listener)

    @override
    def pool_use(self) -> PoolUse:
        open_ones, idle = self.pool.get_size(), self.pool.get_idle_size()
        return PoolUse(open_ones - idle, idle, self.pool.get_max_size())

    @override
    async def close(self) -> None:
        try:
            await self._queue.close()
            for listener in self._listeners:
                await listener.close()
        finally:  # Also where a loop that ends has interrupted this.
            self.connections.terminate()

    async def _give_up(self, statement: str, *values: object) -> RunStatus | None:
        rows = await self._fetch(statement, *values)
        await self._hand_off.finish(rows)
        return RunStatus(rows[0]["status"]) if rows else None

    async def _get_all(self, run_ids: Sequence[str]) -> list[RunRecord | None]:
        rows = await self._fetch(self._reading.get, run_ids)
        found = {row["run_id"]: record(row) for row in rows}
        return [found.get(run_id) for run_id in run_ids]

    async def _watch_all(self, run_ids: Sequence[str]) -> list[RunRecord | None]:
        rows = await self._fetch(self._reading.watch, run_ids)
        found = {row["known_id"]: record(row) if row["status"] else None for row in rows}
        if unwritten := [run_id for run_id, written in found.items() if written is None]:
            found.update(zip(unwritten, await self._get_all(unwritten), strict=True))
        return [found.get(run_id) for run_id in run_ids]
