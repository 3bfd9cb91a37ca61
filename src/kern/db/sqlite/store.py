"""SQLite, open for one event loop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from typing_extensions import override

from kern.db.base import Accepted, Kind, Signal, Store, Waiting
from kern.db.listing import Load, RunFilter
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.operations import Operations
from kern.db.sqlite.order import Order
from kern.db.sqlite.reading import Reading
from kern.db.sqlite.retention import SqliteRetention
from kern.db.sqlite.schedules import SqliteSchedules
from kern.errors import DatabaseError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

# How often another process's changes are looked for, in seconds; SQLite has no notifications.
_LOOK = 0.05


class SqliteStore(Store):
    """Runs and sessions in one file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._operations = Operations(file.session_table)
        self._order = Order(file.session_table)
        self._reading = Reading(file.session_table)
        self.schedules = SqliteSchedules(file)
        self.retention = SqliteRetention(file)
        self._hear: Callable[[Signal], None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"SQLite file {self._file.path!r}"

    async def open(self) -> None:
        """Open the file, and make or migrate its tables."""
        self._file.enter()
        try:
            await self._file.version_seen()
        except BaseException:
            await self._file.leave()
            raise

    async def close(self) -> None:
        """Stop listening, and close the file if nobody else in this process uses it."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        if self._hear is not None:
            self._file.unsubscribe(self._hear)
        await self._file.leave()

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return await self._file.call(self._operations.submit, run)

    @override
    async def begun(self, run_id: str, executor: str) -> Accepted | None:
        return await self._file.call(self._reading.begun, run_id, executor)

    @override
    async def withdraw(self, run_id: str) -> bool:
        return await self._file.call(self._order.withdraw, run_id)

    @override
    async def before(self, run_id: str) -> list[str]:
        return await self._file.call(self._order.before, run_id)

    @override
    async def queued(self, agent_id: str) -> int:
        return await self._file.call(self._reading.queued, agent_id)

    @override
    async def claim(
        self, run_id: str, lease: float, user_limit: int | None = None
    ) -> RunRecord | None:
        record = await self._file.call(self._operations.claim, run_id, lease, user_limit)
        if record is not None:
            self._ended(run_id, record.status)
        return record

    @override
    async def admit(
        self, session_id: str, agent_id: str, user_id: str | None, user_limit: int | None
    ) -> list[tuple[str, str]]:
        return await self._file.call(self._order.admit, session_id, agent_id, user_id, user_limit)

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> bool:
        written = await self._file.call(self._operations.append, run_id, attempt, rows)
        if written and streamed:
            self._file.tell(Signal(Kind.news, run_id))
        return written

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        return await self._file.call(self._operations.extend, attempts, lease)

    @override
    async def settle(self, settlement: Settlement) -> RunStatus | None:
        return self._ended(
            settlement.run_id, await self._file.call(self._operations.settle, settlement)
        )

    @override
    async def postpone(
        self, run_id: str, attempt: int, delay: float, rows: Sequence[JournalRow]
    ) -> RunStatus | None:
        status = await self._file.call(self._operations.postpone, run_id, attempt, delay, rows)
        return self._ended(run_id, status)

    @override
    async def release(self, run_id: str, attempt: int) -> None:
        self._ended(run_id, await self._file.call(self._operations.release, run_id, attempt))

    @override
    async def cancel(self, run_id: str) -> bool:
        status = await self._file.call(self._operations.cancel, run_id)
        if status is RunStatus.running:
            self._file.tell(Signal(Kind.cancel, run_id))
        else:
            self._ended(run_id, status)
        return status is not None

    @override
    async def children(self, run_id: str) -> list[str]:
        return await self._file.call(self._reading.children, run_id)

    @override
    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        return await self._file.call(self._reading.asked, run_ids)

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        return await self._file.call(self._reading.get, run_id, with_input)

    @override
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        return await self._file.call(self._reading.find, wanted, limit, before)

    @override
    async def load(self) -> Load:
        return await self._file.call(self._reading.load)

    async def watch(self, run_id: str) -> bool:
        """Do nothing: here every end is signalled, also that of a run which is still to come."""
        return True

    @override
    async def read(self, run_id: str) -> bool:
        known = await self._file.call(self._operations.read, run_id)
        self._file.tell(Signal(Kind.read, run_id))
        return known

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return await self._file.call(self._reading.events, run_id, after)

    @override
    async def history(self, session_id: str, before: str, limit: int) -> list[tuple[str, str]]:
        return await self._file.call(self._reading.history, session_id, before, limit)

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        return await self._file.call(self._reading.outputs, run_ids)

    @override
    async def take_up(
        self, run_id: str, status: RunStatus, events: Sequence[tuple[str, str]]
    ) -> bool:
        return await self._file.call(self._operations.take_up, run_id, status, events)

    @override
    async def fork(self, run: NewRun, origin: str, seq: int) -> bool:
        return await self._file.call(self._operations.fork, run, origin, seq)

    @override
    async def unfinished(self, agent_ids: Sequence[str]) -> list[Waiting]:
        return await self._file.call(self._reading.unfinished, agent_ids)

    @override
    async def untold(self) -> list[str]:
        return await self._file.call(self._reading.untold)

    @override
    async def webhook_delivered(self, run_id: str, attempt: int) -> None:
        await self._file.call(self._operations.webhook_delivered, run_id, attempt)

    @override
    async def listen(self, hear: Callable[[Signal], None]) -> None:
        loop = asyncio.get_running_loop()

        def hear_here(signal: Signal) -> None:
            with suppress(RuntimeError):  # The loop has been closed.
                loop.call_soon_threadsafe(hear, signal)

        self._hear = hear_here
        self._file.subscribe(hear_here)
        if self._file.path != ":memory:":
            seen = await self._file.version_seen()
            self._looking = asyncio.create_task(self._look(hear, seen))

    async def _look(self, hear: Callable[[Signal], None], seen: int) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                version = await self._file.version_seen()
            except DatabaseError:
                continue  # Locked, most likely; who uses the file is told.
            if version != seen:
                seen = version
                hear(Signal(Kind.again))

    def _ended(self, run_id: str, status: RunStatus | None) -> RunStatus | None:
        if status is RunStatus.paused or (status is not None and status.is_terminal):
            self._file.tell(Signal(Kind.news, run_id))
        return status
