"""A schedule: what an agent is to do, and when, without being asked again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

from kern.errors import InvalidInputError
from kern.run.codec import check_id, decode_object, encode
from kern.run.content import data_in
from kern.run.input import RunInput
from kern.run.record import NewRun

if TYPE_CHECKING:
    from kern.run.cron import Cron

Missed: TypeAlias = Literal["skip", "once", "all"]
"""What becomes of the moments that passed while nobody was there."""

_GRACE = timedelta(seconds=60)
_MOST = 1000
_NAME_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Schedule:
    """An agent that runs by itself.

    Each moment that the cron line names starts one background run, whose id is made of the name
    and the moment: ``nightly@2026-10-24T01:30Z``.

    Attributes:
        name: its identity in the database.
        agent_id: the agent that runs.
        input: what the agent is told.
        cron: five fields: minute, hour, day of the month, month, day of the week.
        timezone: where the line is read, as the IANA time zone database names it.
        missed: what becomes of the moments that passed while no process was there. ``"skip"``:
            nothing, once one is more than 60 seconds late. ``"once"``: one run for all of them,
            as of the last one. ``"all"``: one run each, in their order; of more than 1000 the
            last 1000.
        session_id: the conversation of all its runs; None for a new one each time, which is
            named as the run is.
        user_id: on whose behalf, where that is known.
        metadata: what its runs carry, besides ``schedule`` (the name) and ``scheduled_for`` (the
            moment).
        next_at: the moment of the next run; of no meaning while it is paused.
        paused: whether it starts no runs.
        last_at: the last moment that has started a run.
        created_at: when it was created.
    """

    name: str
    agent_id: str
    input: RunInput
    cron: str
    timezone: str
    missed: Missed
    session_id: str | None
    user_id: str | None
    metadata: dict[str, object] | None
    next_at: datetime
    created_at: datetime
    paused: bool = False
    last_at: datetime | None = None

    @classmethod
    def new(
        cls,
        name: str,
        agent_id: str,
        given: object,
        *,
        now: datetime,
        cron: str,
        timezone: str = "UTC",
        missed: Missed = "once",
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> Self:
        """Return the schedule that a caller meant, which begins after ``now``.

        Raises:
            InvalidInputError: an argument cannot be used.
        """
        if len(check_id("name", name)) > _NAME_LIMIT:
            raise InvalidInputError(f"name must have at most {_NAME_LIMIT} characters.")
        if missed not in get_args(Missed):
            raise InvalidInputError(f"missed must be 'skip', 'once' or 'all', not {missed!r}.")
        if metadata is not None and not isinstance(metadata, dict):
            raise InvalidInputError(f"metadata must be a dict, not {type(metadata).__name__}.")
        ticks = _cron(cron, timezone)
        input = RunInput.of(given)
        if any(data_in(part) is not None for each in input.messages for part in each.parts):
            raise InvalidInputError(
                "The input of a schedule holds media, which is kept with runs only. Give its url, "
                "or have a tool load it."
            )
        return cls(
            name=name,
            agent_id=check_id("agent_id", agent_id),
            input=input,
            cron=ticks.line,
            timezone=timezone,
            missed=missed,
            session_id=None if session_id is None else check_id("session_id", session_id),
            user_id=None if user_id is None else check_id("user_id", user_id),
            metadata=None if metadata is None else decode_object(encode(metadata, "metadata")),
            next_at=ticks.after(now),
            created_at=now,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return a stored schedule, of which ``input`` and ``metadata`` are JSON text.

        Raises:
            ValueError: the row is damaged.
        """
        text = row["metadata"]
        return cls(
            **{
                **row,
                "input": RunInput.from_json(row["input"]),
                "metadata": None if text is None else decode_object(text),
                "paused": bool(row["paused"]),
            }
        )

    def to_dict(self) -> dict[str, object]:
        """Return its fields as JSON values, moments as ISO 8601."""
        return {
            "name": self.name,
            "agent_id": self.agent_id,
            "input": [message.to_dict() for message in self.input.messages],
            "cron": self.cron,
            "timezone": self.timezone,
            "missed": self.missed,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "metadata": self.metadata,
            "paused": self.paused,
            "next_at": self.next_at.isoformat(),
            "last_at": None if self.last_at is None else self.last_at.isoformat(),
            "created_at": self.created_at.isoformat(),
        }

    def after(self, now: datetime) -> datetime:
        """Return the next moment after ``now``, in UTC.

        Raises:
            InvalidInputError: this machine does not know the time zone.
        """
        return _cron(self.cron, self.timezone).after(now)

    def due(self, now: datetime) -> list[datetime]:
        """Return the moments for which runs are to be started now, in their order."""
        later = takewhile(
            lambda tick: tick > self.next_at, _cron(self.cron, self.timezone).until(now)
        )
        ticks = islice(chain(later, [self.next_at]), 1 if self.missed == "once" else _MOST)
        if self.missed == "skip":
            return [tick for tick in ticks if now - tick <= _GRACE][::-1]
        return [*ticks][::-1]

    def run_id(self, tick: datetime) -> str:
        """Return the id of the run that the moment starts."""
        return f"{self.name}@{tick.astimezone(UTC):%Y-%m-%dT%H:%MZ}"

    def run(self, tick: datetime) -> NewRun:
        """Return the run that the moment starts, the same in every process."""
        run_id = self.run_id(tick)
        metadata = {
            **(self.metadata or {}),
            "schedule": self.name,
            "scheduled_for": tick.astimezone(_cron(self.cron, self.timezone).zone).isoformat(),
        }
        return NewRun(
            run_id=run_id,
            session_id=self.session_id or run_id,
            agent_id=self.agent_id,
            user_id=self.user_id,
            input=self.input.to_json(),
            metadata=encode(metadata, "metadata"),
            ordered=True,
            chosen=("run_id", "session_id"),
        )


def _cron(line: str, timezone: str) -> "Cron":
    """Return a cron line, whose reader is loaded with the first schedule."""
    from kern.run.cron import Cron

    return Cron(line, timezone)
