"""What a program that keeps cancels in a place of its own has to say of them."""

from abc import ABC, abstractmethod


class BaseRunCancellationManager(ABC):
    """Keeps cancels of runs in a place of its own, beside kern's database.

    kern calls the asynchronous ones: it registers each run that begins in this process, tells of
    each cancel that is asked for here, asks between the steps of a run whether it was cancelled,
    and cleans up at its end. The database stays the truth: what it says to be cancelled is,
    whatever this says; and a manager that raises is logged, and changes nothing.

    ``kern.run.set_cancellation_manager(MyManager())`` puts one in place.

    Example:
        >>> from kern.run import get_cancellation_manager
        >>> manager = get_cancellation_manager()  # the one that is in place: kern's own
        >>> isinstance(manager, BaseRunCancellationManager), manager.is_cancelled("no-such-run")
        (True, False)
    """

    @abstractmethod
    def register_run(self, run_id: str) -> None:
        """Know of a run that begins; one that was cancelled before stays so."""

    @abstractmethod
    async def aregister_run(self, run_id: str) -> None:
        """Know of a run that begins; one that was cancelled before stays so."""

    @abstractmethod
    def cancel_run(self, run_id: str) -> bool:
        """Keep that a run was cancelled; say whether it is known."""

    @abstractmethod
    async def acancel_run(self, run_id: str) -> bool:
        """Keep that a run was cancelled; say whether it is known."""

    @abstractmethod
    def is_cancelled(self, run_id: str) -> bool:
        """Say whether a run was cancelled."""

    @abstractmethod
    async def ais_cancelled(self, run_id: str) -> bool:
        """Say whether a run was cancelled."""

    @abstractmethod
    def cleanup_run(self, run_id: str) -> None:
        """Forget a run."""

    @abstractmethod
    async def acleanup_run(self, run_id: str) -> None:
        """Forget a run."""

    @abstractmethod
    def raise_if_cancelled(self, run_id: str) -> None:
        """Raise where a run was cancelled.

        Raises:
            RunCancelledException: it was.
        """

    @abstractmethod
    async def araise_if_cancelled(self, run_id: str) -> None:
        """Raise where a run was cancelled.

        Raises:
            RunCancelledException: it was.
        """

    @abstractmethod
    def get_active_runs(self) -> dict[str, bool]:
        """Return the runs that are known, each with whether it was cancelled."""

    @abstractmethod
    async def aget_active_runs(self) -> dict[str, bool]:
        """Return the runs that are known, each with whether it was cancelled."""
