"""What kern needs of a database: the port behind which PostgreSQL, SQLite and memory stand.

Every change of a run is one guarded write: on its status, and where an attempt speaks, on the
attempt. What the guard refuses has been overtaken, and changes nothing.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from kern.errors import ConfigurationError
from kern.run.base import RunStatus
from kern.run.per_loop import PerLoop
from kern.run.record import NewRun, RunRecord, Settlement

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class Kind(Enum):
    """What a :class:`Signal` tells."""

    cancel = "cancel"
    end = "end"
    again = "again"


class Signal(NamedTuple):
    """What one process tells the others that use the database.

    ``cancel``: the run's executor shall stop it. ``end``: a run that somebody waits for has
    ended. ``again``: signals may have been lost, look for yourself; it has no run id.
    """

    kind: Kind
    run_id: str = ""


class Accepted(NamedTuple):
    """The answer to a submitted run: its status, and when it was accepted."""

    status: RunStatus
    created_at: datetime


class Store(ABC):
    """An open database, used from one event loop.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.

    Attributes:
        enqueues: whether :meth:`submit` puts the run into the queue too, in its transaction.
    """

    enqueues: bool = False

    @abstractmethod
    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run, durably, or say with None that its id is in use.

        A run that was cancelled before it arrived is accepted as CANCELLED; one with a lease as
        RUNNING in its first attempt; any other as PENDING.
        """

    @abstractmethod
    async def claim(self, run_id: str, lease: float) -> RunRecord | None:
        """Begin the next attempt at a run that is pending, or whose lease has run out.

        Args:
            run_id: the run.
            lease: the seconds for which the attempt is protected from others.

        Returns:
            The run with its input, RUNNING in its new attempt, or CANCELLED where that was
            asked for. None where there is nothing to execute.
        """

    @abstractmethod
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        """Protect attempts for ``lease`` seconds more.

        Args:
            attempts: run ids with the attempt at each.
            lease: in seconds.

        Returns:
            For every run that is still theirs whether its cancel was asked for; one that is
            missing belongs to a later attempt or has ended.
        """

    @abstractmethod
    async def settle(self, settlement: Settlement) -> RunStatus | None:
        """End a run for good.

        Returns:
            The status it ended in, which is CANCELLED where that was asked for. None where the
            attempt was overtaken, and nothing was written.
        """

    @abstractmethod
    async def release(self, run_id: str, attempt: int) -> None:
        """Let go of a run, for another executor or the next start to take up."""

    @abstractmethod
    async def cancel(self, run_id: str) -> bool:
        """Ask for the end of a run, and keep an intent for one that is not known.

        Returns:
            Whether the run ends cancelled for this.
        """

    @abstractmethod
    async def cancelled(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of the running runs whose cancel was asked for."""

    @abstractmethod
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        """Return a run, without its input unless that is asked for."""

    @abstractmethod
    async def watch(self, run_id: str) -> None:
        """Have the end of a run signalled, once it comes."""

    @abstractmethod
    async def history(self, session_id: str, before: str, limit: int) -> list[str]:
        """Return the outputs of the session's last completed runs, as JSON text, oldest first.

        Args:
            session_id: the session.
            before: the run id before which they were accepted.
            limit: how many at most.
        """

    @abstractmethod
    async def unfinished(self, agent_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return run id and agent id of the runs that wait for an executor, oldest first."""

    @abstractmethod
    async def listen(self, hear: Callable[[Signal], None]) -> None:
        """Hear signals from now on; one listener a store."""


class Database(ABC):
    """A database as a user names it. Opened once for each event loop, on first use."""

    def __init__(self, session_table: str) -> None:
        """Name the tables.

        Args:
            session_table: the table of the sessions; the others are named after it.

        Raises:
            ConfigurationError: the name is not an identifier.
        """
        self.session_table = check_identifier("session_table", session_table)
        self._stores = PerLoop(self._open)

    @abstractmethod
    def _open(self) -> AsyncGenerator[Store, None]:
        """Yield the open database once, and close it after that."""

    async def store(self) -> Store:
        """Return the database, open for the running event loop.

        Raises:
            DatabaseUnavailableError: it cannot be reached.
            SchemaVersionError: its tables are newer than this version of kern.
        """
        return await self._stores.get()


def check_identifier(name: str, value: object) -> str:
    """Return ``value`` if it can name a table or schema.

    Args:
        name: the argument's name, for the error.
        value: a letter or underscore, then at most 39 letters, digits and underscores.

    Raises:
        ConfigurationError: it is anything else.
    """
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise ConfigurationError(
        f"{name} {value!r} is not an identifier: use a letter or underscore, then at most 39 "
        "letters, digits and underscores."
    )
