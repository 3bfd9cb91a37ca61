"""What extends leases from a thread of its own, beside every event loop."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Heart(ABC):
    """A connection of its own to one database, for the leases of a whole process.

    It is used from one thread, which is not that of an event loop, and blocks.
    """

    @abstractmethod
    def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        """Do what :meth:`kern.db.base.Store.extend` does, and wait for it.

        It gives up after a third of ``lease``, and connects anew on the next call.

        Raises:
            DatabaseUnavailableError: the database cannot be reached in that time.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection; nothing uses it any more."""
