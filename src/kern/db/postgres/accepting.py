"""Accepting runs in PostgreSQL, and their cancels, which may come first."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

import asyncpg

from kern.aio.batch import Batcher
from kern.db.budgets import Budgets
from kern.db.postgres.caller import SERVER, asyncpg_connection, briefly
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.hand_off import HandOff
from kern.db.postgres.names import Names
from kern.db.postgres.reporting import reporting
from kern.db.postgres.rows import accepted_columns, columns
from kern.db.postgres.statements import Accepting as Statements
from kern.db.postgres.statements import Resuming
from kern.db.postgres.statements.accepting import LOCK_TIMEOUT, OVER_BUDGET
from kern.db.postgres.statements.cancelling import cancel, stop
from kern.db.values import Accepted
from kern.errors import BudgetExceededError, ConfigurationError, DatabaseError, RunConflictError
from kern.run.base import RunStatus
from kern.run.record import NewRun
from kern.run.state import StatePatch, changes_of

_REFUSED = "The run was refused; nothing was stored."


class _Locked(Enum):
    """That a batch has met a row that is locked for long, of whichever run."""

    by_a_transaction = "by a transaction"


class _OverBudget(Enum):
    """That a run was refused, for its user has used up a budget."""

    refused = "refused"


class Accepting:
    """Accepts runs: in batches, alone, or in a caller's transaction."""

    def __init__(
        self, connections: Connections, names: Names, hand_off: HandOff, budgets: Budgets
    ) -> None:
        """Send statements over ``connections``."""
        self._connections = connections
        self._budgets = budgets
        self._hand_off = hand_off
        self._statements = Statements(names, connections.lock_timeout)
        self._lock_timeout = self._statements.lock_timeout
        self._stop = stop(names, self._lock_timeout)
        self._cancel = cancel(names, self._lock_timeout)
        self._wake_parent = Resuming(names).wake_parent
        self._submits = Batcher(self._submit_all, size=lambda run: len(run.input))
        self._server: str | None = None

    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run, as the store's ``submit`` says.

        Raises:
            RunConflictError: another transaction holds the id, and has not ended in time.
            BudgetExceededError: its user has used up a budget.
        """
        accepted = await self._submits.put(run)
        if accepted is None or isinstance(accepted, Accepted):
            return accepted
        # Each waits alone then, so that none waits for a transaction that holds another.
        return await self._within_budget(run, self._submit_alone)

    async def answered(self) -> None:
        """Wait until the runs submitted so far are accepted, also for those who have left."""
        await self._submits.answered()

    async def submit_with(self, connection: object, run: NewRun) -> Accepted | None:
        """Accept a run in a caller's transaction, as the store's ``submit_with`` says."""

        async def submit(run: NewRun) -> Accepted | _OverBudget | None:
            rows = await self.fetch_within(
                connection, run.run_id, self._statements.submit_within, *accepted_columns([run])
            )
            accepted = _accepted(rows[0]) if rows else None
            if not isinstance(accepted, Accepted):
                return accepted
            return accepted._replace(transaction=rows[0]["transaction"])

        return await self._within_budget(run, submit)

    async def fetch_within(
        self, connection: object, run_id: str, statement: str, *values: object
    ) -> list[asyncpg.Record]:
        """Send a statement in a caller's transaction.

        Raises:
            ConfigurationError: the connection is to another database, or in no transaction.
            RunConflictError: another transaction holds the run, and has not ended in time.
        """
        with reporting(self._connections.address):
            found = await asyncpg_connection(connection)
            if not await self._is_of_this_server(found):
                raise ConfigurationError(
                    "connection is to another database, so its transaction cannot hold a run in "
                    f"this one, at {self._connections.address}."
                )
            try:
                async with briefly(found):
                    return list(await found.fetch(statement, *values))
            except asyncpg.LockNotAvailableError as error:
                raise _conflict(run_id, LOCK_TIMEOUT) from error

    async def follow(self, run: NewRun, ended: str, attempt: int) -> Accepted | None:
        """Accept a run that follows the end of another, as the store's ``follow`` says."""

        async def follow(run: NewRun) -> Accepted | _OverBudget | None:
            values = (*accepted_columns([run]), ended, attempt)
            rows = await self._fetch_briefly(run.run_id, self._statements.follow, *values)
            await self._hand_off.finish(rows)
            return _accepted(rows[0]) if rows else None

        return await self._within_budget(run, follow)

    async def fork(
        self, run: NewRun, origin: str, seq: int, state: StatePatch | None, *, replaces: bool
    ) -> Accepted | None:
        """Accept a run with the first steps of another, as the store's ``fork`` says."""

        async def fork(run: NewRun) -> Accepted | _OverBudget | None:
            changes = columns([] if state is None else changes_of(state), 3)
            values = (*accepted_columns([run]), origin, seq, *changes, replaces)
            rows = await self._fetch_briefly(run.run_id, self._statements.fork, *values)
            await self._hand_off.finish(rows)
            return _accepted(rows[0]) if rows else None

        return await self._within_budget(run, fork)

    async def cancel(self, run_id: str, user_id: str | None) -> bool:
        """Ask for the end of a run, as the store's ``cancel`` says.

        Raises:
            RunConflictError: another transaction holds the id, and has not ended in time.
        """
        if await self._fetch_briefly(run_id, self._stop, run_id, user_id):
            return True  # What executes it ends it.
        rows = await self._fetch_briefly(run_id, self._cancel, run_id, user_id)
        await self._hand_off.finish(rows)
        if rows and rows[0]["is_awaited"]:
            await self._connections.fetch(self._wake_parent, run_id)
        return bool(rows and rows[0]["known"])

    async def _submit_alone(self, run: NewRun) -> Accepted | _OverBudget | None:
        rows = await self._fetch_briefly(
            run.run_id, self._statements.submit_alone, *accepted_columns([run])
        )
        await self._hand_off.finish(rows)
        return _accepted(rows[0]) if rows else None

    async def _within_budget(
        self, run: NewRun, submit: Callable[[NewRun], Awaitable[Accepted | _OverBudget | None]]
    ) -> Accepted | None:
        """Accept a run, or say which budget of its user has it refused.

        Raises:
            BudgetExceededError: its user has used up a budget.
        """
        for _ in range(2):  # Meanwhile the budget may have been raised, or its period ended.
            accepted = await submit(run)
            if not isinstance(accepted, _OverBudget):
                return accepted
            assert run.user_id is not None, "a budget is somebody's"
            for each in await self._budgets.spending(run.user_id):
                each.check(_REFUSED)
        raise BudgetExceededError(
            f"The user {run.user_id!r} had used up a budget when the transaction began, and has "
            f"room now. {_REFUSED} Try again in a new transaction.",
            user_id=run.user_id,
        )

    async def _fetch_briefly(
        self, run_id: str, statement: str, *values: object
    ) -> list[asyncpg.Record]:
        try:
            return await self._connections.fetch(statement, *values)
        except DatabaseError as error:
            if _is_locked(error):
                raise _conflict(run_id, self._lock_timeout) from error
            raise

    async def _submit_all(
        self, runs: Sequence[NewRun]
    ) -> Sequence[Accepted | _Locked | _OverBudget | None]:
        try:
            rows = await self._connections.fetch(self._statements.submit, *accepted_columns(runs))
        except DatabaseError as error:
            if not _is_locked(error):
                raise
            return [_Locked.by_a_transaction] * len(runs)
        await self._hand_off.finish(rows)
        accepted = {row["run_id"]: _accepted(row) for row in rows}
        return [accepted.get(run.run_id) for run in runs]

    async def _is_of_this_server(self, connection: Connection) -> bool:
        server = await connection.fetchval(SERVER)
        if server != self._server:  # Perhaps only because it was started anew.
            self._server = (await self._connections.fetch(SERVER))[0]["server"]
        return bool(server == self._server)


def _accepted(row: asyncpg.Record) -> Accepted | _OverBudget | None:
    status = row["status"]
    if status is None:
        return None
    if status == OVER_BUDGET:
        return _OverBudget.refused
    return Accepted(RunStatus(status), row["created_at"], row["waiting"], budgeted=row["budgeted"])


def _is_locked(error: DatabaseError) -> bool:
    return isinstance(error.__cause__, asyncpg.LockNotAvailableError)


def _conflict(run_id: str, seconds: float) -> RunConflictError:
    return RunConflictError(
        f"Another transaction holds the run {run_id!r}, or its new session, and has not ended "
        f"within {seconds:g} s. Commit it or roll it back, and try again; nothing was changed."
    )
