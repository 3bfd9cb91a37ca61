"""PostgreSQL, open for one event loop."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import asyncpg
from typing_extensions import override

from kern.db.base import Accepted, Signal, Store
from kern.db.batch import Batcher
from kern.db.postgres.listener import Listener
from kern.db.postgres.statements import Names, Statements
from kern.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

# How long a statement waits for a connection of the pool, in seconds.
_LONGEST_WAIT = 5.0


class _Append(NamedTuple):
    run_id: str
    attempt: int
    rows: Sequence[JournalRow]
    streamed: bool


class PostgresStore(Store):
    """Runs and sessions in PostgreSQL, over a pool of connections."""

    enqueues = True

    def __init__(
        self,
        pool: asyncpg.Pool,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        names: Names,
        address: str,
    ) -> None:
        """Use the tables of ``names``, which exist.

        Args:
            pool: where the statements are sent.
            connect: opens the connection on which to listen.
            names: the tables.
            address: where the database is, for errors.
        """
        self.pool = pool
        self.names = names
        self._connect = connect
        self._address = address
        self._sql = Statements(names)
        self._listener: Listener | None = None
        self._submits = Batcher(self._submit_all)
        self._claims = Batcher(self._claim_all)
        self._appends = Batcher(self._append_all)
        self._settles = Batcher(self._settle_all)

    @override
    async def submit(self, run: NewRun) -> Accepted | None:
        return await self._submits.put(run)

    @override
    async def claim(self, run_id: str, lease: float) -> RunRecord | None:
        return await self._claims.put((run_id, lease))

    @override
    async def settle(self, settlement: Settlement) -> RunStatus | None:
        return await self._settles.put(settlement)

    @override
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        rows = await self._fetch(self._sql.extend, *_columns(attempts, 2), lease)
        return {row["run_id"]: row["cancelled"] for row in rows}

    @override
    async def release(self, run_id: str, attempt: int) -> None:
        await self._fetch(self._sql.release, run_id, attempt)

    @override
    async def cancel(self, run_id: str) -> bool:
        rows = await self._fetch(self._sql.cancel, run_id)
        return bool(rows and rows[0]["known"])

    @override
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> bool:
        return await self._appends.put(_Append(run_id, attempt, rows, streamed))

    @override
    async def children(self, run_id: str) -> list[str]:
        return [row["run_id"] for row in await self._fetch(self._sql.children, run_id)]

    @override
    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        rows = await self._fetch(self._sql.asked, list(run_ids))
        return [(row["run_id"], row["cancelled"], row["streamed"]) for row in rows]

    @override
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        statement = self._sql.get_with_input if with_input else self._sql.get
        rows = await self._fetch(statement, run_id)
        return _record(rows[0]) if rows else None

    @override
    async def watch(self, run_id: str) -> None:
        await self._fetch(self._sql.watch, run_id)

    @override
    async def read(self, run_id: str) -> None:
        await self._fetch(self._sql.read, run_id)

    @override
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in await self._fetch(self._sql.events, run_id, after)]

    @override
    async def history(self, session_id: str, before: str, limit: int) -> list[tuple[str, str]]:
        rows = await self._fetch(self._sql.history, session_id, before, limit)
        return [(row["run_id"], row["output"]) for row in reversed(rows)]

    @override
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        rows = await self._fetch(self._sql.outputs, list(run_ids))
        return [(row["run_id"], row["output"]) for row in rows]

    @override
    async def take_up(
        self, run_id: str, status: RunStatus, events: Sequence[tuple[str, str]]
    ) -> bool:
        return bool(await self._fetch(self._sql.take_up, run_id, status, *_columns(events, 2)))

    @override
    async def fork(self, run: NewRun, origin: str, seq: int) -> bool:
        rows = await self._fetch(
            self._sql.fork,
            run.run_id,
            run.session_id,
            run.agent_id,
            run.user_id,
            run.input,
            run.metadata,
            origin,
            seq,
        )
        return bool(rows)

    @override
    async def listen(self, hear: Callable[[Signal], None]) -> None:
        listener = Listener(self._connect, self.names.channel, hear)
        with reporting(self._address):
            await listener.start()
        self._listener = listener

    async def close(self) -> None:
        """Close every connection; nothing uses them any more."""
        if self._listener is not None:
            await self._listener.close()
        # Not close(): that waits for connections whose release asyncio.run has interrupted.
        self.pool.terminate()

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        with reporting(self._address):
            try:
                connection = await self.pool.acquire(timeout=_LONGEST_WAIT)
            except TimeoutError:
                # The pool is busy; or asyncio.run, which is ending, has interrupted so many
                # releases that no connection will ever come back.
                return await self._fetch_alone(statement, *values)
            try:
                return await connection.fetch(statement, *values)
            finally:
                await self.pool.release(connection)

    async def _fetch_alone(self, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await self._connect()
        try:
            return await connection.fetch(statement, *values)
        finally:
            connection.terminate()

    async def _submit_all(self, runs: Sequence[NewRun]) -> list[Accepted | None]:
        rows = await self._fetch(
            self._sql.submit,
            [run.run_id for run in runs],
            [run.session_id for run in runs],
            [run.agent_id for run in runs],
            [run.user_id for run in runs],
            [run.input for run in runs],
            [run.metadata for run in runs],
            [run.parent_run_id for run in runs],
            [run.streamed for run in runs],
            [run.cancelled for run in runs],
            [run.lease for run in runs],
        )
        accepted = {
            row["run_id"]: Accepted(RunStatus(row["status"]), row["created_at"]) for row in rows
        }
        return [accepted.get(run.run_id) for run in runs]

    async def _claim_all(self, claims: Sequence[tuple[str, float]]) -> list[RunRecord | None]:
        rows = await self._fetch(self._sql.claim, *_columns(claims, 2))
        claimed = {row["run_id"]: _record(row) for row in rows}
        # The claim waits for what the attempt before it is writing, but its snapshot is older.
        again = [run_id for run_id, record in claimed.items() if record.attempt > 1]
        if again:
            for row in await self._fetch(self._sql.last_seq, again):
                record = claimed[row["run_id"]]
                claimed[record.run_id] = replace(record, last_seq=row["last_seq"])
        # Two claims of one run in a batch are one attempt, and only one of them may execute it.
        return [claimed.pop(run_id, None) for run_id, _ in claims]

    async def _append_all(self, appends: Sequence[_Append]) -> list[bool]:
        rows = await self._fetch(
            self._sql.append,
            [each.run_id for each in appends],
            [each.attempt for each in appends],
            [each.streamed for each in appends],
            *_rows([(each.attempt, row) for each in appends for row in each.rows]),
        )
        written = {(row["run_id"], row["attempt"]) for row in rows}
        return [(each.run_id, each.attempt) in written for each in appends]

    async def _settle_all(self, settlements: Sequence[Settlement]) -> list[RunStatus | None]:
        rows = await self._fetch(
            self._sql.settle,
            [each.run_id for each in settlements],
            [each.attempt for each in settlements],
            [each.status.value for each in settlements],
            [each.output for each in settlements],
            [each.error for each in settlements],
            [each.usage for each in settlements],
            [each.fold_before for each in settlements],
            [each.foreground for each in settlements],
            *_rows([(each.attempt, row) for each in settlements for row in each.journal]),
        )
        settled = {(row["run_id"], row["attempt"]): RunStatus(row["status"]) for row in rows}
        return [settled.get((each.run_id, each.attempt)) for each in settlements]


@contextmanager
def reporting(address: str) -> Iterator[None]:
    """Turn the driver's errors into kern's, which say where the database is and what to do."""
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise ConfigurationError(f"db_url cannot be used: {error}") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} has no such database: {error}. Create it, or correct db_url."
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} does not let us in: {error}. Correct the user and password "
            "in db_url."
        ) from error
    except asyncpg.TooManyConnectionsError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} has no connection left for us: {error}. Raise its "
            "max_connections, or lower pool_size."
        ) from error
    except asyncpg.DeadlockDetectedError as error:
        raise DatabaseUnavailableError(f"PostgreSQL at {address} was too busy: {error}") from error
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {address} cannot be reached: {error or type(error).__name__}. "
            "Start it, or correct db_url; `kern db up` starts one on port 5532 of this machine."
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"PostgreSQL at {address} refused: {error}") from error


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]


def _rows(rows: Sequence[tuple[int, JournalRow]]) -> list[list[object]]:
    return _columns(
        [(row.run_id, attempt, row.seq, row.type, row.payload) for attempt, row in rows], 5
    )


def _record(row: asyncpg.Record) -> RunRecord:
    values = dict(row)
    values.pop("told", None)
    return RunRecord(**values | {"status": RunStatus(values["status"])})
