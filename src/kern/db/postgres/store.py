"""PostgreSQL, open for one event loop."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import asyncpg
from typing_extensions import override

from kern.aio.batch import Batcher
from kern.db.base import Accepted, Kind, Signal, Store
from kern.db.listing import Load, RunFilter
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.listener import Listener
from kern.db.postgres.names import Names
from kern.db.postgres.retention import PostgresRetention
from kern.db.postgres.schedules import PostgresSchedules
from kern.db.postgres.statements import Order, Reading, Steps
from kern.errors import DatabaseUnavailableError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


class _Append(NamedTuple):
    run_id: str
    attempt: int
    rows: Sequence[JournalRow]
    streamed: bool


class PostgresStore(Store):
    """Runs and sessions in PostgreSQL, over a pool of connections."""

    enqueues = True

    def __init__(self, connections: Connections, names: Names) -> None:
        """Use the tables of ``names``, which exist."""
        self.connections = connections
        self.pool = connections.pool
        self.names = names
        self._fetch = connections.fetch
        self.schedules = PostgresSchedules(connections.fetch, names)
        self.retention = PostgresRetention(connections, names)
        self._steps = Steps(names)
        self._reading = Reading(names)
        self._order = Order(names)
        self._listeners: list[Listener] = []
        self._gets = Batcher(self._get_all)
        self._submits = Batcher(self._submit_all)
        self._claims = Batcher(self._claim_all)
        self._appends = Batcher(self._append_all)
        self._settles = Batcher(self._settle_all)

    def __repr__(self) -> str:
        return f"{self.names.sessions} in PostgreSQL at {self.connections.address}"

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return await self._submits.put(run)

    @override
    async def begun(self, run_id: str, executor: str) -> Accepted | None:
        rows = await self._fetch(self._reading.begun, run_id, executor)
        return Accepted(RunStatus.running, rows[0]["created_at"]) if rows else None

    @override
    async def withdraw(self, run_id: str) -> bool:
        return bool(await self._fetch(self._order.withdraw, run_id))

    @override
    async def before(self, run_id: str) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._order.before, run_id)]

    @override
    async def queued(self, agent_id: str) -> int:
        count: int = (await self._fetch(self._reading.queued, agent_id))[0]["queued"]
        return count

    @override
    async def claim(
        self, run_id: str, lease: float, user_limit: int | None = None
    ) -> RunRecord | None:
        record = await self._claim(run_id, lease, user_limit)
        if record is None and (asked := await self._fetch(self._order.ask, run_id)):
            record = await self._claim(run_id, lease, user_limit)
            if record is None:  # It may have been cancelled before it had the turn.
                await self._advance(asked[0]["session_id"], run_id)
        return record

    @override
    async def admit(
        self, session_id: str, agent_id: str, user_id: str | None, user_limit: int | None
    ) -> list[tuple[str, str]]:
        if user_limit is not None and user_id is not None:
            lane = self._lane(agent_id, user_id)
            async with self.connections.transaction() as connection:
                taken = await self._taken_slots(connection, lane, "")
                await connection.execute(self._order.admit, lane, max(0, user_limit - taken))
        return []

    @override
    async def settle(self, settlement: Settlement) -> RunStatus | None:
        return await self._settles.put(settlement)

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        rows = await self._fetch(self._steps.extend, *_columns(attempts, 2), lease)
        return {row["run_id"]: row["cancelled"] for row in rows}

    @override
    async def release(self, run_id: str, attempt: int) -> None:
        await self._pass_on(await self._fetch(self._steps.release, run_id, attempt))

    @override
    async def postpone(
        self, run_id: str, attempt: int, delay: float, rows: Sequence[JournalRow]
    ) -> RunStatus | None:
        columns = _columns([(row.seq, row.type, row.payload) for row in rows], 3)
        found = await self._fetch(self._steps.postpone, run_id, attempt, delay, *columns)
        await self._pass_on(found)
        return RunStatus(found[0]["status"]) if found else None

    @override
    async def cancel(self, run_id: str) -> bool:
        rows = await self._fetch(self._steps.cancel, run_id)
        await self._pass_on(rows)
        return bool(rows and rows[0]["known"])

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> bool:
        return await self._appends.put(_Append(run_id, attempt, rows, streamed))

    @override
    async def children(self, run_id: str) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._reading.children, run_id)]

    @override
    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        rows = await self._fetch(self._reading.asked, list(run_ids))
        return [(row["run_id"], row["cancelled"], row["streamed"]) for row in rows]

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        if not with_input:
            return await self._gets.put(run_id)
        rows = await self._fetch(self._reading.get_with_input, run_id)
        return _record(rows[0]) if rows else None

    @override
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        statement, values = self._reading.find(wanted, limit, before)
        return [_record(row) for row in await self._fetch(statement, *values)]

    @override
    async def load(self) -> Load:
        return Load(*(await self._fetch(self._reading.load))[0])

    @override
    async def watch(self, run_id: str) -> bool:
        return bool(await self._fetch(self._reading.watch, run_id))

    @override
    async def read(self, run_id: str) -> bool:
        return bool(await self._fetch(self._reading.read, run_id))

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in await self._fetch(self._reading.events, run_id, after)]

    @override
    async def history(self, session_id: str, before: str, limit: int) -> list[tuple[str, str]]:
        rows = await self._fetch(self._reading.history, session_id, before, limit)
        return [(row["run_id"], row["output"]) for row in reversed(rows)]

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        rows = await self._fetch(self._reading.outputs, list(run_ids))
        return [(row["run_id"], row["output"]) for row in rows]

    @override
    async def take_up(
        self, run_id: str, status: RunStatus, events: Sequence[tuple[str, str]]
    ) -> bool:
        return bool(await self._fetch(self._steps.take_up, run_id, status, *_columns(events, 2)))

    @override
    async def fork(self, run: NewRun, origin: str, seq: int) -> bool:
        rows = await self._fetch(self._steps.fork, *_accepted([run]), origin, seq)
        await self._pass_on(rows)
        return rows[0]["status"] is not None

    @override
    async def listen(self, hear: Callable[[Signal], None]) -> None:
        def notified(payload: str) -> None:
            kind, _, run_id = payload.partition(" ")
            if kind in Kind.__members__:
                hear(Signal(Kind[kind], run_id))

        listener = self.connections.listener(
            self.names.channel,
            notified,
            lost=lambda: hear(Signal(Kind.away)),
            back=lambda: hear(Signal(Kind.again)),
        )
        await listener.start()
        self._listeners.append(listener)

    async def close(self) -> None:
        """Close every connection; nothing uses them any more."""
        for listener in self._listeners:
            await listener.close()
        self.connections.terminate()

    @override
    async def repair(self) -> list[tuple[str, str]]:
        for row in await self._fetch(self._order.stale_turns):
            await self._advance(row["stuck"], row["holder"])
        await self._fetch(self._order.requeue)
        lanes = await self._fetch(self._order.lanes)
        return [(row["agent_id"], row["user_id"]) for row in lanes]

    @override
    async def webhook_delivered(self, run_id: str, attempt: int) -> None:
        await self._fetch(self._steps.webhook_delivered, run_id, attempt)

    async def _pass_on(self, rows: Sequence[asyncpg.Record]) -> None:
        """Have the turn go on where the statement that ended a run could not hand it over."""
        for row in rows:
            if row["stuck"] is not None:
                await self._advance(row["stuck"], row["holder"])

    async def _advance(self, session_id: str, holder: str | None) -> None:
        with suppress(DatabaseUnavailableError):  # The repair will find it.
            while rows := await self._fetch(self._order.advance, session_id, holder):
                holder = rows[0]["holder"]

    async def _submit_all(self, runs: Sequence[NewRun]) -> list[Accepted | None]:
        rows = await self._fetch(self._steps.submit, *_accepted(runs))
        await self._pass_on(rows)
        accepted = {
            row["run_id"]: Accepted(RunStatus(row["status"]), row["created_at"], row["waiting"])
            for row in rows
            if row["status"] is not None
        }
        return [accepted.get(run.run_id) for run in runs]

    async def _get_all(self, run_ids: Sequence[str]) -> list[RunRecord | None]:
        rows = await self._fetch(self._reading.get, run_ids)
        found = {row["run_id"]: _record(row) for row in rows}
        return [found.get(run_id) for run_id in run_ids]

    async def _claim(self, run_id: str, lease: float, user_limit: int | None) -> RunRecord | None:
        users = [] if user_limit is None else await self._fetch(self._order.user_of, run_id)
        if user_limit is None or not users:
            return await self._claims.put((run_id, lease))
        lane = self._lane(users[0]["agent_id"], users[0]["user_id"])
        async with self.connections.transaction() as connection:
            if await self._taken_slots(connection, lane, run_id) >= user_limit:
                await connection.execute(self._order.park, run_id, lane)
                return None
            records, rows = await self._claim_with(connection.fetch, [(run_id, lease)])
            if records[0] is not None:
                await connection.execute(self._order.take_slot, lane, run_id)
        await self._pass_on(rows)
        return records[0]

    async def _claim_all(self, claims: Sequence[tuple[str, float]]) -> list[RunRecord | None]:
        records, rows = await self._claim_with(self._fetch, claims)
        await self._pass_on(rows)
        return records

    async def _claim_with(
        self, fetch: Fetch, claims: Sequence[tuple[str, float]]
    ) -> tuple[list[RunRecord | None], list[asyncpg.Record]]:
        rows = await fetch(self._steps.claim, *_columns(claims, 2))
        claimed = {row["run_id"]: _record(row) for row in rows}
        # The claim waits for what the attempt before it is writing, but its snapshot is older.
        again = [run_id for run_id, record in claimed.items() if record.attempt > 1]
        if again:
            for row in await fetch(self._reading.last_seq, again):
                record = claimed[row["run_id"]]
                claimed[record.run_id] = replace(record, last_seq=row["last_seq"])
        # Two claims of one run in a batch are one attempt, and only one of them may execute it.
        return [claimed.pop(run_id, None) for run_id, _ in claims], rows

    async def _taken_slots(self, connection: Connection, lane: str, run_id: str) -> int:
        await connection.execute(self._order.lock_lane, lane)
        await connection.execute(self._order.clear_slots, lane)
        taken: int = await connection.fetchval(self._order.taken_slots, lane, run_id)
        return taken

    def _lane(self, agent_id: str, user_id: str) -> str:
        return f"{self.names.session_table}/{len(agent_id)}/{agent_id}/{user_id}"

    async def _append_all(self, appends: Sequence[_Append]) -> list[bool]:
        rows = await self._fetch(
            self._steps.append,
            [each.run_id for each in appends],
            [each.attempt for each in appends],
            [each.streamed for each in appends],
            *_rows([(each.attempt, row) for each in appends for row in each.rows]),
        )
        written = {(row["run_id"], row["attempt"]) for row in rows}
        return [(each.run_id, each.attempt) in written for each in appends]

    async def _settle_all(self, settlements: Sequence[Settlement]) -> list[RunStatus | None]:
        rows = await self._fetch(
            self._steps.settle,
            [each.run_id for each in settlements],
            [each.attempt for each in settlements],
            [each.status.value for each in settlements],
            [each.output for each in settlements],
            [each.error for each in settlements],
            [each.usage for each in settlements],
            [each.fold_before for each in settlements],
            *_rows([(each.attempt, row) for each in settlements for row in each.journal]),
        )
        await self._pass_on(rows)
        settled = {(row["run_id"], row["attempt"]): RunStatus(row["status"]) for row in rows}
        return [settled.get((each.run_id, each.attempt)) for each in settlements]


def _accepted(runs: Sequence[NewRun]) -> list[list[object]]:
    return [
        [getattr(run, column) for run in runs]
        for column in (
            *("run_id", "session_id", "agent_id", "user_id", "input", "metadata"),
            *("parent_run_id", "streamed", "cancelled", "lease", "ordered", "priority"),
            *("run_at", "timeout", "max_attempts", "webhook", "executor"),
        )
    ]


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]


def _rows(rows: Sequence[tuple[int, JournalRow]]) -> list[list[object]]:
    return _columns(
        [(row.run_id, attempt, row.seq, row.type, row.payload) for attempt, row in rows], 5
    )


def _record(row: asyncpg.Record) -> RunRecord:
    values = dict(row)
    for column in ("told", "stuck", "holder"):
        values.pop(column, None)
    return RunRecord(**values | {"status": RunStatus(values["status"])})
