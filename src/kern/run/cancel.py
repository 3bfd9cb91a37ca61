"""Cancels by the id of a run alone, and cancellation managers: the import path that users know."""

from kern.execution.cancellation import acancel_run, cancel_run
from kern.execution.managing import get_cancellation_manager, set_cancellation_manager

__all__ = [
    "acancel_run",
    "acleanup_run",
    "aget_active_runs",
    "ais_cancelled",
    "araise_if_cancelled",
    "aregister_run",
    "cancel_run",
    "cleanup_run",
    "get_active_runs",
    "get_cancellation_manager",
    "is_cancelled",
    "raise_if_cancelled",
    "register_run",
    "set_cancellation_manager",
]


def register_run(run_id: str) -> None:
    """Have the cancellation manager know of a run; kern does that by itself."""
    get_cancellation_manager().register_run(run_id)


async def aregister_run(run_id: str) -> None:
    """Have the cancellation manager know of a run; kern does that by itself."""
    await get_cancellation_manager().aregister_run(run_id)


def is_cancelled(run_id: str) -> bool:
    """Say whether a run was cancelled, as the cancellation manager knows it."""
    return get_cancellation_manager().is_cancelled(run_id)


async def ais_cancelled(run_id: str) -> bool:
    """Say whether a run was cancelled, as the cancellation manager knows it."""
    return await get_cancellation_manager().ais_cancelled(run_id)


def cleanup_run(run_id: str) -> None:
    """Have the cancellation manager forget a run; kern does that by itself."""
    get_cancellation_manager().cleanup_run(run_id)


async def acleanup_run(run_id: str) -> None:
    """Have the cancellation manager forget a run; kern does that by itself."""
    await get_cancellation_manager().acleanup_run(run_id)


def raise_if_cancelled(run_id: str) -> None:
    """Raise where a run was cancelled, as the cancellation manager knows it.

    Raises:
        RunCancelledError: it was.
    """
    get_cancellation_manager().raise_if_cancelled(run_id)


async def araise_if_cancelled(run_id: str) -> None:
    """Raise where a run was cancelled, as the cancellation manager knows it.

    Raises:
        RunCancelledError: it was.
    """
    await get_cancellation_manager().araise_if_cancelled(run_id)


def get_active_runs() -> dict[str, bool]:
    """Return the runs that the cancellation manager knows, each with whether it was cancelled."""
    return get_cancellation_manager().get_active_runs()


async def aget_active_runs() -> dict[str, bool]:
    """Return the runs that the cancellation manager knows, each with whether it was cancelled."""
    return await get_cancellation_manager().aget_active_runs()
