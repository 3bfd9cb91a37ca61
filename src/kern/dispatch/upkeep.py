"""What a process does for all while it executes runs: shows that it lives, sweeps, catches up."""

import os
import socket
from collections.abc import Callable

from kern import __version__
from kern.aio.retry import until_available
from kern.db.processes import Process
from kern.db.values import Kind
from kern.dispatch.here import Here
from kern.errors import DatabaseUnavailableError
from kern.execution.executor import Executor
from kern.execution.observing import everywhere
from kern.execution.report import log_failure, log_loss
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus

# How many pauses expire in one sweep at most.
_EXPIRED = 1000


class Upkeep:
    """The upkeep of one event loop.

    Attributes:
        on_reach: called with whether the database answers, whenever that was seen.
    """

    def __init__(self, here: Here, executor: Executor) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            executor: what executes here.
        """
        self.on_reach: Callable[[bool], None] = lambda _: None
        self._store = here.store
        self._name = here.name
        self._settings = here.settings
        self._executor = executor
        self._subscriptions = here.subscriptions
        self._definitions = here.definitions

    async def beat(self) -> None:
        """Show that this process lives.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        await self._store.processes.beat(
            Process(
                self._name,
                socket.gethostname(),
                os.getpid(),
                self._definitions.served_ids,
                __version__,
                self._settings.slots,
                len(self._executor.attempts),
                self._settings.heartbeat,
            )
        )

    async def sweep(self) -> None:
        """Show that this process lives, and make good what others have left undone.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        try:
            await self.beat()
        except DatabaseUnavailableError:
            self.on_reach(False)
            raise
        self.on_reach(True)
        swept = await self._store.sweep(self._settings.heartbeat)
        if swept is not None:
            for run_id in swept.expired:
                self._subscriptions.notify(run_id)
                await self._log_loss(run_id)
            for run_id in await self._store.expired_pauses(_EXPIRED):
                self._subscriptions.notify(run_id)
        uncommitted = self._definitions.uncommitted
        unseen = {run_id for run_id, _ in uncommitted}
        for run_id in self._definitions.pinned:
            record = await self._store.get(run_id)
            if run_id not in unseen if record is None else record.status.is_terminal:
                self._definitions.unpin(run_id)
        if uncommitted:
            for run_id, transaction in await self._store.rolled_back(uncommitted):
                self._definitions.unpin(run_id, transaction)
        if swept is not None:
            await self._store.figures.count()

    async def _log_loss(self, run_id: str) -> None:
        """Log that the executor of a run was lost, and what became of the run."""
        record = await self._store.get(run_id)
        if record is None:
            return
        claimed = record.status is RunStatus.running  # By the next attempt, meanwhile.
        run = RunInfo(
            run_id,
            record.session_id,
            record.agent_id,
            record.user_id,
            record.attempt - claimed,
            record.parent_run_id,
        )
        for each in everywhere:
            each.lost(run, record.status)
        if record.status is RunStatus.error:
            log_failure(run, RunOutput.from_record(record).error)
        else:
            log_loss(run, record.status)

    async def ping(self) -> None:
        """Report whether the database answers."""
        try:
            await self._store.ping()
        except DatabaseUnavailableError:
            self.on_reach(False)
        else:
            self.on_reach(True)

    async def resync(self) -> None:
        """Look for what notifications that were lost may have said."""
        self._subscriptions.notify_all()
        executing = [run_id for run_id, _ in self._executor.attempts]
        if not executing:
            return
        for run_id, cancelled, streamed in await until_available(
            lambda: self._store.wanted(executing)
        ):
            if cancelled:
                self._executor.stop(run_id)
            if streamed:
                self._executor.on_signal(run_id, Kind.read)
