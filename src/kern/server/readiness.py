"""Whether a service is ready, and what its databases say when they are asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import Load
from kern.errors import DatabaseError, DatabaseUnavailableError

READY = "ready"
AWAY = "the database is away"
ENDING = "the server is shutting down"

# How long a database may take to answer, and for how long its answer holds, in seconds.
_PATIENCE = 2.0
_KEPT = 1.0

Found = TypeVar("Found")


class Readiness:
    """Whether a service is ready.

    Attributes:
        state: ``ready``, or why it is not.
    """

    def __init__(self, databases: Collection[Database]) -> None:
        """Begin with a service that has not started.

        Args:
            databases: those of the agents.
        """
        self.state = "the application's lifespan has not begun"
        self._pings = _Asked(databases, _ping)
        self._loads = _Asked(databases, _load)

    async def reason(self) -> str | None:
        """Return why the service is not ready, after a round trip to each database; or None."""
        if self.state != READY:
            return self.state
        try:
            await self._pings.answers()
        except DatabaseError:  # What it says is not for everybody: the database's address, say.
            return AWAY
        return None

    async def load(self) -> Load | None:
        """Return how many runs have not ended in the databases; None where one is away."""
        try:
            loads = await self._loads.answers()
        except DatabaseError:
            return None
        running, due, waiting, delayed = (
            sum(column) for column in zip(*(each[:4] for each in loads), strict=True)
        )
        return Load(running, due, waiting, delayed, None)


class _Asked(Generic[Found]):
    """What databases have answered; however many want to know, they are asked once a second."""

    def __init__(
        self, databases: Collection[Database], ask: Callable[[Store], Awaitable[Found]]
    ) -> None:
        self._databases = databases
        self._ask = ask
        self._asking: asyncio.Task[list[Found]] | None = None
        self._until = 0.0

    async def answers(self) -> list[Found]:
        """Return what each database answers, or has answered a moment ago.

        Raises:
            DatabaseError: one does not answer.
        """
        is_old = self._asking is not None and time.monotonic() > self._until
        if self._asking is None or is_old:
            self._until = float("inf")
            self._asking = asyncio.create_task(self._asked())
        return await asyncio.shield(self._asking)

    async def _asked(self) -> list[Found]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return [await self._ask(await each.store()) for each in self._databases]
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"The database has not answered within {_PATIENCE:g} s."
            ) from None
        finally:
            self._until = time.monotonic() + _KEPT


async def _ping(store: Store) -> None:
    await store.ping()


async def _load(store: Store) -> Load:
    return await store.load()
