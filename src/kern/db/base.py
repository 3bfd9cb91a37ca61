"""What kern needs of a database: the port behind which PostgreSQL, SQLite and memory stand.

Every change of a run is one guarded write: on its status, and where an attempt speaks, on the
attempt. What the guard refuses has been overtaken, and changes nothing.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Self

from kern.aio.per_loop import PerLoop
from kern.db.listing import Load, RunFilter
from kern.db.retention import Retention
from kern.db.schedules import Schedules
from kern.errors import ConfigurationError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement

# How many attempts may be lost where the run does not say; it may be innocent of their loss.
LOST_ATTEMPTS = 5

LOST_ATTEMPTS_MESSAGE = (
    "The workers of %s attempts were lost while they executed this run, so it is not tried again: "
    "it may be what brings them down. What it has done is kept; retry the run to go on from there."
)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class Kind(Enum):
    """What a :class:`Signal` tells."""

    cancel = "cancel"
    read = "read"
    news = "news"
    schedule = "schedule"
    away = "away"
    again = "again"


class Signal(NamedTuple):
    """What one process tells the others that use the database.

    ``cancel``: the run's executor shall stop it. ``read``: somebody reads the run's events, so
    its executor shall write them as they come. ``news``: a run that somebody waits for or reads
    has moved on. ``schedule``: a schedule has changed. ``away``: nothing is heard any more, for
    now. ``again``: signals may have been lost, look for yourself. The last three have no run id.
    """

    kind: Kind
    run_id: str = ""


class Accepted(NamedTuple):
    """The answer to a submitted run.

    Attributes:
        status: its status.
        created_at: when it was accepted.
        waiting: whether it waits for another run of its session.
    """

    status: RunStatus
    created_at: datetime
    waiting: bool = False


class Waiting(NamedTuple):
    """A run that belongs into a queue which does not outlive its process.

    Attributes:
        run_id: the run.
        agent_id: its agent.
        priority: among the runs that are due the highest comes first.
        run_at: the moment before which it does not begin, or None.
    """

    run_id: str
    agent_id: str
    priority: int
    run_at: datetime | None


class TablesVersion(NamedTuple):
    """How old the tables are.

    Attributes:
        found: their version; None where there are none yet.
        known: the version to which this kern brings them.
    """

    found: int | None
    known: int


class Store(ABC):
    """An open database, used from one event loop.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.

    Attributes:
        enqueues: whether :meth:`submit` puts the run into the queue too, in its transaction.
        schedules: the schedules in the same database.
        retention: what deletes runs from it.
    """

    enqueues: bool = False
    schedules: Schedules
    retention: Retention

    @abstractmethod
    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run, durably, or say with None that its id is in use.

        A run that was cancelled before it arrived is accepted as CANCELLED; one with a lease as
        RUNNING in its first attempt; any other as PENDING.
        """

    @abstractmethod
    async def begun(self, run_id: str, executor: str) -> Accepted | None:
        """Return how a run was accepted whose first attempt is under way at this executor."""

    @abstractmethod
    async def withdraw(self, run_id: str) -> bool:
        """Forget a run that waits for another run of its session; say whether it did."""

    @abstractmethod
    async def before(self, run_id: str) -> list[str]:
        """Return what a run of a session waits for: the earlier ones, the newest first."""

    @abstractmethod
    async def queued(self, agent_id: str) -> int:
        """Return how many of an agent's runs are due and have not begun."""

    @abstractmethod
    async def claim(
        self, run_id: str, lease: float, user_limit: int | None = None
    ) -> RunRecord | None:
        """Begin the next attempt at a run that is pending, or whose lease has run out.

        A lease that ran out while the database was away counts from its return.

        Args:
            run_id: the run.
            lease: the seconds for which the attempt is protected from others.
            user_limit: how many runs of its agent its user may have executing at once.

        Returns:
            The run with its input, RUNNING in its new attempt; or CANCELLED where that was
            asked for; or ERROR where too many attempts were lost. None where there is nothing
            to execute now. A run that waits for its turn in the session, or for another run of
            its user, needs no entry in the queue: what it waits for gives it one.
        """

    @abstractmethod
    async def admit(
        self, session_id: str, agent_id: str, user_id: str | None, user_limit: int | None
    ) -> list[tuple[str, str]]:
        """Let those go on who have waited for a run that has ended.

        Args:
            session_id: the run's session.
            agent_id: its agent.
            user_id: its user.
            user_limit: how many runs of the agent a user may have executing at once.

        Returns:
            Run ids and agent ids to put into the queue, where the store does not.
        """

    @abstractmethod
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> bool:
        """Commit rows to a run's journal; the same rows again change nothing.

        Args:
            run_id: the run.
            attempt: who writes; only the newest attempt is heard.
            rows: the rows, numbered by the attempt.
            streamed: whether to signal the news.

        Returns:
            Whether the attempt is still the newest; if not, nothing was written.
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
        """End a run for good, or pause it, and write the last rows of its journal.

        Returns:
            The status it ended in, which is CANCELLED where that was asked for. None where the
            attempt was overtaken, and nothing was written.
        """

    @abstractmethod
    async def postpone(
        self, run_id: str, attempt: int, delay: float, rows: Sequence[JournalRow]
    ) -> RunStatus | None:
        """Have a failed attempt made again, and write the last rows of its journal.

        Args:
            run_id: the run.
            attempt: who failed; only the newest attempt is heard.
            delay: the seconds before which it does not begin again.
            rows: the journal's rows that were not written yet.

        Returns:
            PENDING, or CANCELLED where that was asked for; None where the attempt was overtaken.
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
    async def children(self, run_id: str) -> list[str]:
        """Return the runs that the tools of a run have started and that have not ended."""

    @abstractmethod
    async def asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        """Return of which running runs the cancel, or the events as they come, are asked for."""

    @abstractmethod
    async def get(self, run_id: str, *, with_input: bool = False) -> RunRecord | None:
        """Return a run, without its input unless that is asked for."""

    @abstractmethod
    async def find(
        self, wanted: RunFilter, limit: int, before: str | None = None
    ) -> list[RunRecord]:
        """Return runs, the last accepted first, without input and output.

        Args:
            wanted: which runs.
            limit: how many at most.
            before: the run before which they were accepted; by default there is none.
        """

    @abstractmethod
    async def load(self) -> Load:
        """Return how many runs there are that have not ended."""

    @abstractmethod
    async def events(self, run_id: str, after: int) -> list[JournalRow]:
        """Return the rows of a run's journal with numbers above ``after``, in order."""

    @abstractmethod
    async def watch(self, run_id: str) -> bool:
        """Have the end of a run signalled, once it comes; say whether there is such a run."""

    @abstractmethod
    async def read(self, run_id: str) -> bool:
        """Have events of a run written and signalled, from now on; say whether it is known."""

    @abstractmethod
    async def history(self, session_id: str, before: str, limit: int) -> list[tuple[str, str]]:
        """Return the session's last completed runs, oldest first: run ids, outputs as JSON text.

        Args:
            session_id: the session.
            before: the run id before which they were accepted.
            limit: how many at most.
        """

    @abstractmethod
    async def outputs(self, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return runs in the order of their acceptance: run ids, outputs as JSON text."""

    @abstractmethod
    async def take_up(
        self, run_id: str, status: RunStatus, events: Sequence[tuple[str, str]]
    ) -> bool:
        """Make a run that stands still PENDING again, and put it into the queue.

        Args:
            run_id: the run.
            status: the status that it must have.
            events: kinds and payloads to add to its journal.

        Returns:
            Whether it had that status; if not, nothing was changed.
        """

    @abstractmethod
    async def fork(self, run: NewRun, origin: str, seq: int) -> bool:
        """Accept a run whose journal begins as another's does, up to the number ``seq``.

        Returns:
            Whether it was accepted; if not, its id is in use.
        """

    async def unfinished(self, agent_ids: Sequence[str]) -> list[Waiting]:
        """Return the runs that are pending or running, oldest first.

        Of use where the queue does not outlive its process; the others return nothing.
        """
        return []

    async def untold(self) -> list[str]:
        """Return the runs that have ended and whose webhook has not been delivered.

        Of use where the queue does not outlive its process; the others return nothing.
        """
        return []

    @abstractmethod
    async def webhook_delivered(self, run_id: str, attempt: int) -> None:
        """Remember that the end of a run was told, the one to which an attempt has brought it."""

    async def repair(self) -> list[tuple[str, str]]:
        """Let those go on whom a process that was lost has left waiting.

        Returns:
            The agents with the users of whom a run waits for another; see :meth:`admit`.
        """
        return []

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

    async def aclose(self) -> None:
        """Close what is open of it on the running event loop; the next use opens it again.

        What another object of the same database uses stays open.
        """
        await self._stores.aclose()

    def close(self) -> None:
        """Close what synchronous code, or a loop in another thread, has opened of it.

        Raises:
            ConfigurationError: it was called on an event loop that uses it: await
                :meth:`aclose` there.
        """
        self._stores.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    async def version(self) -> TablesVersion:
        """Return the version of the tables, which are neither made nor migrated for it.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """


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
