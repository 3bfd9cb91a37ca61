"""How the runs stand that have not ended, for a person on duty: the port beside that of the runs.

Every method is one statement, however many runs it is asked about.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from kern.run.base import RunStatus
from kern.run.record import JournalRow

WITHIN = "'TextSlice', 'ToolSlice', 'StepEnded', 'CustomHappened'"
"""The kinds of the steps, in SQL, that a call or an answer under way only goes on with."""

LimitOf: TypeAlias = Literal["agent", "user"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether a run goes on that has not ended, all of it at one moment.

    Attributes:
        run_id: the run.
        status: where it is.
        at: the moment, by the database's clock.
        due_at: when it may begin; None where it has begun, or waits for something else.
        begun_at: when its last attempt began.
        lease_until: until when that attempt is protected from others.
        cancel_requested_at: when its end was asked for.
        refusals: how many executors in a row have refused it.
        refused_at: when the first of them did.
        waits_for_session: whether it waits for the session lock.
        holder: the run that has this lock.
        holder_status: where that one is.
        limit: whose limit it waits for.
        counted: how many runs count towards that limit.
    """

    run_id: str
    status: RunStatus
    at: datetime
    due_at: datetime | None = None
    begun_at: datetime | None = None
    lease_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    refusals: int = 0
    refused_at: datetime | None = None
    waits_for_session: bool = False
    holder: str | None = None
    holder_status: RunStatus | None = None
    limit: LimitOf | None = None
    counted: int = 0


class Group(NamedTuple):
    """Runs of an agent that stand alike.

    Attributes:
        first: the id of the one that was accepted first.
        runs: how many they are.
    """

    first: str
    runs: int


class Overview(ABC):
    """Says how runs stand.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def now(self) -> datetime:
        """Return the database's time."""

    @abstractmethod
    async def standings(self, run_ids: Sequence[str]) -> list[Standing]:
        """Return how runs stand; one that has ended is left out."""

    @abstractmethod
    async def groups(self, limit: int) -> list[Group]:
        """Return the runs that have not ended, those together that stand alike, most runs first.

        Args:
            limit: how many groups at most.
        """

    @abstractmethod
    async def agents(self, limit: int) -> list[str]:
        """Return the ids of the agents that runs are of, in order.

        Args:
            limit: how many at most.
        """

    @abstractmethod
    async def last_steps(self, run_ids: Sequence[str]) -> list[JournalRow]:
        """Return the rows of runs from the last answer of a model on that begin or end something.

        Those of :data:`WITHIN` are left out: there may be very many of them.
        """
