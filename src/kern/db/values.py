"""What a database is given and what it answers: plain values, the same for every kind of it."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from kern.errors import NewerJournalError
from kern.run.approval import Approval
from kern.run.base import RunStatus
from kern.run.steps import VERSION

# How many attempts may be lost where the run does not say; it may be innocent of their loss.
LOST_ATTEMPTS = 5

LOST_ATTEMPTS_MESSAGE = (
    "The workers of %s attempts were lost while they executed this run, so it is not tried again: "
    "it may be what brings them down. What it has done is kept; retry the run to go on from there."
)

UNSERVED_MESSAGE = (
    "No worker could execute this run since %s. The last one said: %s What it has done is kept; "
    "retry the run once a worker can."
)


class Kind(Enum):
    """What a :class:`Signal` says."""

    cancel = "cancel"
    read = "read"
    changed = "changed"
    schedule = "schedule"
    webhook = "webhook"
    away = "away"
    resync = "resync"


class Signal(NamedTuple):
    """A notification from one process to the others that use the database.

    ``cancel``: the run's executor shall stop it. ``read``: somebody reads the run's events, so
    its executor shall write them as they come. ``changed``: a run that somebody waits for or
    reads has moved on. ``schedule``: a schedule has changed. ``webhook``: an end is to be
    reported. ``away``: no notification comes any more, for now. ``resync``: notifications may
    have been lost, so look. Only the first three have a run id.
    """

    kind: Kind
    run_id: str = ""


class PoolUse(NamedTuple):
    """How the connections of a pool are used.

    Attributes:
        used: those that do something now.
        idle: those that are open and do nothing.
        limit: how many there may be.
    """

    used: int
    idle: int
    limit: int


class Accepted(NamedTuple):
    """The answer to a submitted run.

    Attributes:
        status: its status.
        created_at: when it was accepted.
        waiting: whether it waits for another run of its session.
        transaction: the caller's transaction of which it is part, by the database's number.
        budgeted: whether its user has a budget.
    """

    status: RunStatus
    created_at: datetime
    waiting: bool = False
    transaction: str | None = None
    budgeted: bool = False


class Appended(NamedTuple):
    """The answer to rows that were written to a journal.

    Attributes:
        lost: the keys of the session's state that the rows set or deleted in vain: a run that was
            accepted later has done so before.
    """

    lost: tuple[str, ...] = ()


class Settled(NamedTuple):
    """The answer to a settled run.

    Attributes:
        status: the status in which it ended, or PAUSED.
        finished_at: when it ended, by the database's clock.
        lost: see :class:`Appended`.
        unstored: whether nothing of it is to be kept.
    """

    status: RunStatus
    finished_at: datetime | None = None
    lost: tuple[str, ...] = ()
    unstored: bool = False


class Claim(NamedTuple):
    """Who claims a run, and on which terms.

    Attributes:
        executor: the name of the executor, which nobody else has.
        lease: the seconds for which the attempt is protected from others.
        agent_limit: how many background runs of the agent may execute at once; None for any.
        user_limit: how many of its user; None for any.
        journal_version: the newest version of a journal that the executor knows.
    """

    executor: str
    lease: float
    agent_limit: int | None = None
    user_limit: int | None = None
    journal_version: int = VERSION

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit to keep."""
        return self.agent_limit is not None or self.user_limit is not None


class Resume(NamedTuple):
    """How a run goes on that stood still.

    Attributes:
        executor: who executes it at once, by a name that nobody else has.
        lease: the seconds for which that one is protected from others.
        foreground: whether it belongs to a caller from now on; by default as it was.
        metadata: what takes the place of its metadata, as JSON text; by default it stays.
        journal_version: the newest version of a journal that the executor knows.
        resolved: its approvals, as the answer leaves them.
    """

    executor: str | None = None
    lease: float | None = None
    foreground: bool | None = None
    metadata: str | None = None
    journal_version: int = VERSION
    resolved: Sequence[Approval] = ()


ANYWHERE = Resume()
"""At any executor, and otherwise as it was."""


class Swept(NamedTuple):
    """What a sweep has found to do.

    Attributes:
        expired: the runs whose lease had expired; they are due again, or have ended.
        enqueued: how many due runs were enqueued again, which nobody had taken for long.
    """

    expired: list[str]
    enqueued: int


class TablesVersion(NamedTuple):
    """How old the tables are.

    Attributes:
        found: their version; None where there are none yet.
        known: the version to which this kern brings them.
    """

    found: int | None
    known: int


def newer_journal(run_id: str) -> NewerJournalError:
    """Return the error for a run that only a newer kern can execute."""
    return NewerJournalError(
        f"Run {run_id} was begun by a newer kern, which has to execute it. Upgrade this one."
    )
