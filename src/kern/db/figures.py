"""What happened in each minute and hour, for plots: the port beside that of the runs.

The sweep counts a minute once it has passed, by the moments that runs have anyway, so figures cost
no run anything. What is counted goes into rows of an agent and a minute, kept for two days, and of
an agent and an hour, kept for 30: a plot of a month reads as few rows as one of a day.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

MINUTE, HOUR = 60, 3600
"""The spans of the rows, in seconds."""

KEPT = {MINUTE: timedelta(days=2), HOUR: timedelta(days=30)}
"""How long the rows of each span are kept."""

BOUNDS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    *(20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0),
)
"""Between which seconds durations are counted; the last number counts those from the last on."""

GRACE = 30
"""How many seconds after its end a minute is counted: writes that began in it are committed."""

CAUGHT_UP = timedelta(days=1)
"""What nobody has counted for longer is not counted any more."""

MINUTES = 10
"""How many minutes a sweep counts at most."""

COUNTED, SAMPLED = 500_000, 100_000
"""How many runs of a minute, and of those that have not ended, are counted at most."""

POINTS = 400
"""How many steps can be asked for at once."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened in a step of time.

    Attributes:
        begins_at: when it began.
        seconds: how much of it was counted: all of it, unless it still goes on.
        samples: how often was looked how many runs there were, by the minute; 0 where that is not
            known.
        executing: how many executed then, all samples added up.
        due: how many could begin.
        waiting: how many waited for another run of their session, or for a limit.
        submitted: how many were accepted.
        completed: how many ended so.
        failed: how many ended in ERROR.
        cancelled: how many ended so.
        input_tokens: what those that ended have sent to models.
        output_tokens: what they have been answered.
        cost: what they have cost, in US dollars, as far as prices are known.
        waits: of those that ended, how many began within each of :data:`BOUNDS` after they could.
        durations: how many ended within each of them after they began, pauses included.
    """

    begins_at: datetime
    seconds: int = 0
    samples: int = 0
    executing: int = 0
    due: int = 0
    waiting: int = 0
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    waits: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    durations: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)


NUMBERS = tuple(Tally.__dataclass_fields__)[2:-2]
"""The columns that are numbers, in their order."""


class Figures(ABC):
    """Counts what happens, and says what happened.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def count(self) -> int:
        """Count the minutes that have passed, at most :data:`MINUTES`, and say how many.

        Each is counted once, by one process. With them is sampled how many runs there are now.
        """

    async def between(
        self, since: datetime, until: datetime, step: timedelta, agents: Sequence[str] | None = None
    ) -> list[Tally]:
        """Return what happened in each step of a time that has been counted, the first one first.

        Steps begin at multiples of theirs since 1970, so the first one may begin before ``since``;
        the last one may still go on.

        Args:
            since: the moment from which on.
            until: the moment before which.
            step: a number of minutes, or of hours where more than two days are asked for.
            agents: the ids of the agents whose runs are counted; by default of all.

        Raises:
            ValueError: these are no such steps, or more than :data:`POINTS`.
        """
        seconds = int(step.total_seconds())
        span = HOUR if seconds % HOUR == 0 else MINUTE
        if seconds < 1 or seconds % span or step != timedelta(seconds=seconds):
            raise ValueError(f"The step is {step}: it has to be a number of whole minutes.")
        first = int(since.timestamp()) // seconds * seconds
        points = -(-(until.timestamp() - first) // seconds)
        if points > POINTS:
            raise ValueError(f"That are {points:,.0f} steps, more than {POINTS}: make them longer.")
        last, tallies = await self._between(
            span, seconds, first, until.timestamp(), None if agents is None else list(agents)
        )
        if not tallies:
            return []
        known = {each.begins_at: each for each in tallies}
        found = []
        for moment in range(int(tallies[0].begins_at.timestamp()), int(last), seconds):
            at = datetime.fromtimestamp(moment, UTC)
            counted = min(seconds, int(last) - moment)
            found.append(replace(known.get(at) or Tally(at), seconds=counted))
        return found

    @abstractmethod
    async def _between(
        self, span: int, step: int, first: int, until: float, agents: list[str] | None
    ) -> tuple[float, list[Tally]]:
        """Return the steps in which anything was counted, and until when everything has been.

        Args:
            span: of the rows, in seconds.
            step: in seconds.
            first: the moment from which on, in seconds since 1970.
            until: the moment before which.
            agents: whose rows; None for all.
        """
