"""What kern needs of a database: the port behind which PostgreSQL, SQLite and memory stand.

Every change of a run is one guarded write: on its status, and where an attempt speaks, on the
attempt. What the guard refuses comes from a stale attempt, and changes nothing.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import Enum

from kern.db.approvals import Approvals
from kern.db.blobs import Blobs
from kern.db.budgets import Budgets
from kern.db.components import Components
from kern.db.contents import Contents
from kern.db.erasing import Erasing
from kern.db.figures import Figures
from kern.db.keys import Keys
from kern.db.memories import Memories
from kern.db.outbox import Outbox
from kern.db.overview import Overview
from kern.db.processes import Processes
from kern.db.queue import Queue
from kern.db.reading import Reading
from kern.db.resuming import Resuming
from kern.db.retention import Retention
from kern.db.schedules import Schedules
from kern.db.sessions import Sessions
from kern.db.values import Accepted, Appended, Claim, PoolUse, Settled, Signal, Swept
from kern.errors import ConfigurationError
from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement


class SessionType(Enum):
    """Whose sessions they are; kern keeps those of agents and teams, and has no workflows.

    Example:
        >>> SessionType("agent")
        <SessionType.AGENT: 'agent'>
    """

    AGENT = "agent"
    TEAM = "team"
    WORKFLOW = "workflow"


class Store(Reading, Resuming):
    """An open database, used from one event loop.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.

    Attributes:
        queue: which of its runs may begin.
        schedules: the schedules in the same database.
        retention: what deletes runs from it.
        outbox: the webhooks that are to be sent.
        processes: the processes that execute its runs.
        overview: how its runs stand that have not ended.
        blobs: what of its runs is too large for a row.
        budgets: how much users may use, and have used.
        users: what of it belongs to whom.
        sessions: the sessions, as users see them.
        approvals: what people have to allow, and have decided.
        keys: the API keys.
        contents: what knowledge bases were loaded with.
        components: the agents at rest.
        erasing: what keeps nothing of runs.
        figures: what happened in each minute and hour.
        memories: what is remembered of users.
    """

    queue: Queue
    schedules: Schedules
    retention: Retention
    outbox: Outbox
    processes: Processes
    overview: Overview
    blobs: Blobs
    budgets: Budgets
    sessions: Sessions
    approvals: Approvals
    keys: Keys
    contents: Contents
    components: Components
    erasing: Erasing
    figures: Figures
    memories: Memories

    def __init__(self) -> None:
        """Have no users yet."""
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def before_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have something done before this is closed, while it can still be used."""
        self._closers.append(closer)

    def pool_use(self) -> PoolUse | None:
        """Return how its connections are used, from any thread; None where it has no pool."""
        return None

    async def aclose(self) -> None:
        """Close it, after what its users have to do before that."""
        try:
            while self._closers:
                await self._closers.pop()()
        finally:
            await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Close every connection; nothing uses them any more."""

    @abstractmethod
    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run, durably, or say with None that its id is in use.

        One that was cancelled before it arrived, or whose parent was, is accepted as CANCELLED;
        one with a lease as RUNNING in its first attempt, unless it has to wait for the session
        lock; any other as PENDING, and is enqueued if it is due.

        Raises:
            RunConflictError: a transaction of :meth:`submit_with` holds the id, and has not ended
                in time.
            BudgetExceededError: its user has used up a budget.
        """

    async def submit_with(self, connection: object, run: NewRun) -> Accepted | None:
        """Accept a run in the transaction of a caller's own connection.

        It is PENDING, enqueued and committed with that transaction. No session is locked for it:
        its claim asks for the session lock, so its place in the session is that of its first
        delivery. The parent's row is not locked either: there the claim ends the child of a
        cancelled parent. The media of its input is written in that transaction, too.

        Raises:
            ConfigurationError: this database cannot, or the connection is to another one.
            RunConflictError: another transaction holds the id, and has not ended in time.
            BudgetExceededError: its user has used up a budget.
        """
        raise ConfigurationError(f"{self} takes no connection of yours: only PostgresDb does.")

    async def rolled_back(self, runs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return which runs do not exist, as their transaction has ended without them.

        Args:
            runs: run ids, each with the transaction of its :meth:`submit_with`.
        """
        return []

    @abstractmethod
    async def withdraw(self, run_id: str) -> bool:
        """Forget a run that waits for the session lock, with its blobs; say whether it did."""

    @abstractmethod
    async def claim(self, run_id: str, claim: Claim) -> RunRecord | None:
        """Begin the next attempt at a run that is PENDING and due.

        A RUNNING run is never claimed: the sweep makes it PENDING once its lease has expired.

        Returns:
            The run with its input, RUNNING in its new attempt; or CANCELLED where that was
            asked for, or where its parent was cancelled. None where there is nothing to execute
            now: it is not due, waits for the session lock or for a limit (what it waits for
            enqueues it), has ended, or another executor has it.

        Raises:
            NewerJournalError: the run needs a newer version of the journal than the claim knows;
                nothing was changed.
        """

    @abstractmethod
    async def make_due(self, agent_id: str, user_id: str | None, claim: Claim) -> None:
        """Make due as many runs that wait for a limit as there is room for now.

        Args:
            agent_id: an agent of which a run has ended, or waits inside a call.
            user_id: its user.
            claim: the limits.
        """

    @abstractmethod
    async def append(
        self, run_id: str, attempt: int, rows: Sequence[JournalRow], streamed: bool
    ) -> Appended | None:
        """Commit rows to a run's journal, with what they change in the state of its session.

        The same rows again change nothing. A key of the state stays as the run has left it that
        was accepted last of those that have changed it.

        Args:
            run_id: the run.
            attempt: who writes; a stale attempt is refused.
            rows: the rows, numbered by the attempt.
            streamed: whether to notify of it.

        Returns:
            What of it was in vain; None where the attempt is not the newest, and nothing was
            written.
        """

    @abstractmethod
    async def replace_input(self, run_id: str, attempt: int, input: str) -> bool:
        """Have another input take the place of a run's; nothing of the first one is kept.

        Args:
            run_id: the run.
            attempt: who replaces it; a stale attempt is refused.
            input: the new one, as JSON text.

        Returns:
            Whether the attempt is the newest; if not, nothing was written.
        """

    @abstractmethod
    async def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        """Protect attempts for ``lease`` seconds more, counted by the database's clock.

        Args:
            attempts: run ids with the attempt at each.
            lease: in seconds.

        Returns:
            For every run that is still theirs whether its cancel was asked for; one that is
            missing belongs to a later attempt or has ended.
        """

    @abstractmethod
    async def settle(self, settlement: Settlement) -> Settled | None:
        """End a run for good, or pause it, and write the last rows of its journal.

        The rows change the state of the session as in :meth:`append`. What follows from the end
        happens in the same transaction: the session lock is handed off, and the run that gets it
        enqueued; its webhook is put into the outbox. The records of what a paused run waits for are
        made; where one was resolved meanwhile, a background run is PENDING at once.

        Returns:
            How it ended: CANCELLED where that was asked for. None where the attempt is stale, and
            nothing was written.
        """

    @abstractmethod
    async def postpone(
        self,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        *,
        failed: bool = True,
    ) -> RunStatus | None:
        """Have a later attempt go on after a time, and write the last rows of the journal.

        Args:
            run_id: the run.
            attempt: who gives it up; a stale attempt is refused.
            delay: the seconds before which it does not begin again.
            rows: the journal's rows that were not written yet; they change no state.
            failed: whether it counts as failed; False where the run only sleeps.

        Returns:
            PENDING, or CANCELLED where that was asked for; None where the attempt is stale.
        """

    @abstractmethod
    async def release(self, run_id: str, attempt: int) -> RunStatus | None:
        """Give up an attempt for another executor, or the next start, to go on; it is due at once.

        Returns:
            PENDING, or CANCELLED where that was asked for; None where the attempt is stale.
        """

    @abstractmethod
    async def refuse(
        self, run_id: str, attempt: int, reason: str, delay: float, unserved_timeout: timedelta
    ) -> RunStatus | None:
        """Release a run that this executor cannot read or execute, for others that can.

        It counts neither as a failed nor as a lost attempt.

        Args:
            run_id: the run.
            attempt: who refuses; a stale attempt is refused itself.
            reason: a sentence for the person who looks at the run.
            delay: the seconds before it is due again.
            unserved_timeout: for how long all executors may refuse it before it ends in ERROR.

        Returns:
            PENDING, ERROR where it was refused for too long, or CANCELLED where that was asked
            for; None where the attempt is stale.
        """

    @abstractmethod
    async def set_counted(self, run_id: str, attempt: int, counted: bool) -> None:
        """Say whether a running attempt counts towards the limits of its agent and user.

        It does not while all its open calls wait for other runs; then it counts again, also
        above the limit.
        """

    @abstractmethod
    async def sweep(self, heartbeat: float) -> Swept | None:
        """Make good what lost processes have left undone, if nobody has for a quarter heartbeat.

        Running attempts whose lease has expired become PENDING and due, or end in ERROR after
        too many, or CANCELLED where that was asked for; what they write is refused. Runs that
        are due and that nobody has taken for 30 s are enqueued again, at most 1,000. A session
        lock that an ended run holds is handed off, what waits for a limit towards which nothing
        counts any more is due, and unstored runs that have ended are erased. An unstored run of a
        caller whose lease has expired ends CANCELLED. A gap in the ticks of more than two thirds of
        a heartbeat, after which leases begin to expire, shows that the database was away for
        everybody: then nothing expires for one heartbeat from the first tick on, at most three
        times running.

        Returns:
            What was done; None where it was not time yet.
        """

    @abstractmethod
    async def cancel(self, run_id: str, user_id: str | None = None) -> bool:
        """Ask for the end of a run, and keep a pending cancel for one that is not known.

        Args:
            run_id: the run.
            user_id: the user whose run it must be, or one without a user; None for any.

        Returns:
            Whether the run ends cancelled for this.

        Raises:
            RunConflictError: a transaction of :meth:`submit_with` holds the id, and has not ended
                in time; nothing was stored.
        """

    @abstractmethod
    async def watch(self, run_id: str) -> RunRecord | None:
        """Have the end of a run notified, once it comes; return the run as :meth:`get` does."""

    @abstractmethod
    async def read(self, run_id: str) -> bool:
        """Have events of a run written and notified, from now on; say whether it is known."""

    @abstractmethod
    async def ping(self) -> None:
        """Make a round trip to the database and back."""

    @abstractmethod
    async def listen(self, on_signal: Callable[[Signal], None]) -> None:
        """Have notifications handed over from now on; one listener a store."""
