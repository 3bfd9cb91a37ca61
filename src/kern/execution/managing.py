"""The cancellation manager: kern's own, or one of the program that is told and asked beside it."""

import asyncio
import logging

from typing_extensions import override

from kern.errors import ConfigurationError, RunCancelledError, described
from kern.execution.cancellation import acancel_run, cancel_run, cancellations, managed
from kern.keywords import shown
from kern.run.cancellation_management import BaseRunCancellationManager

logger = logging.getLogger("kern")


class OwnManager(BaseRunCancellationManager):
    """What this process knows of cancels; runs register themselves, and clean up."""

    @override
    def register_run(self, run_id: str) -> None:
        """Do nothing: a run that executes here is known."""

    @override
    async def aregister_run(self, run_id: str) -> None:
        """Do nothing: a run that executes here is known."""

    @override
    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run; see :func:`kern.run.cancel.cancel_run`."""
        return cancel_run(run_id)

    @override
    async def acancel_run(self, run_id: str) -> bool:
        """Cancel a run; see :func:`kern.run.cancel.acancel_run`."""
        return await acancel_run(run_id)

    @override
    def is_cancelled(self, run_id: str) -> bool:
        """Say whether a run was cancelled in this process, and executes here or has yet to come."""
        return cancellations.active().get(run_id, False) or cancellations.is_pending(run_id)

    @override
    async def ais_cancelled(self, run_id: str) -> bool:
        """See :meth:`is_cancelled`."""
        return self.is_cancelled(run_id)

    @override
    def cleanup_run(self, run_id: str) -> None:
        """Do nothing: a run that ends is forgotten."""

    @override
    async def acleanup_run(self, run_id: str) -> None:
        """Do nothing: a run that ends is forgotten."""

    @override
    def raise_if_cancelled(self, run_id: str) -> None:
        """Raise where :meth:`is_cancelled`."""
        if self.is_cancelled(run_id):
            raise RunCancelledError(f"The run {run_id} was cancelled.")

    @override
    async def araise_if_cancelled(self, run_id: str) -> None:
        """Raise where :meth:`is_cancelled`."""
        self.raise_if_cancelled(run_id)

    @override
    def get_active_runs(self) -> dict[str, bool]:
        """Return the runs that execute here, each with whether it was cancelled in this process."""
        return cancellations.active()

    @override
    async def aget_active_runs(self) -> dict[str, bool]:
        """See :meth:`get_active_runs`."""
        return self.get_active_runs()


_OWN = OwnManager()


def get_cancellation_manager() -> BaseRunCancellationManager:
    """Return the cancellation manager of this process."""
    return managed.manager or _OWN


def set_cancellation_manager(manager: BaseRunCancellationManager | None) -> None:
    """Have a cancellation manager told of runs and cancels, and asked between the steps of runs.

    Args:
        manager: the manager; None for kern's own alone.

    Raises:
        ConfigurationError: it is no manager.
    """
    given: object = manager
    if not isinstance(given, BaseRunCancellationManager | None):
        raise ConfigurationError(
            f"A cancellation manager must be a BaseRunCancellationManager, not {shown(given)}."
        )
    managed.manager = None if isinstance(manager, OwnManager) else manager


async def register(run_id: str) -> None:
    """Tell the program's manager that a run begins here."""
    manager = managed.manager
    if manager is not None:
        try:
            await manager.aregister_run(run_id)
        except Exception as error:
            _log(run_id, error)


async def clean_up(run_id: str) -> None:
    """Tell the program's manager that a run no longer executes here."""
    manager = managed.manager
    if manager is not None:
        try:
            await manager.acleanup_run(run_id)
        except Exception as error:
            _log(run_id, error)


async def stop_if_cancelled(run_id: str) -> None:
    """Cancel the run whose task this is, if the program's manager says that it was cancelled.

    Raises:
        asyncio.CancelledError: it was.
    """
    manager = managed.manager
    if manager is None:
        return
    try:
        is_cancelled = await manager.ais_cancelled(run_id)
    except Exception as error:
        _log(run_id, error)
        return
    if is_cancelled and cancellations.cancel(run_id, None)[0]:
        await asyncio.sleep(1)  # The cancel of this task is on its way.


def _log(run_id: str, error: Exception) -> None:
    text = described(error)
    logger.warning("run %s: the cancellation manager failed, and is passed by: %s", run_id, text)
