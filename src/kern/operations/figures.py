"""What happened over the last hours or weeks: how much, how fast, and what it cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from kern.db.base import Store
from kern.db.figures import BOUNDS, NUMBERS, Tally

SPANS = {
    "1h": (timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=5)),
    "24h": (timedelta(hours=24), timedelta(minutes=5), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=1), timedelta(hours=12)),
    "30d": (timedelta(days=30), timedelta(hours=3), timedelta(days=1)),
}
"""The times that can be looked at: how long each is, its steps in a plot, and those in a table."""


@dataclass(frozen=True, slots=True)
class Course:
    """What happened over a time.

    Attributes:
        span: its name, of :data:`SPANS`.
        steps: what happened, step by step; none where nobody has counted yet.
    """

    span: str
    steps: Sequence[Tally]

    @property
    def whole(self) -> Tally:
        """All of it together."""
        return added_up(self.steps)

    @property
    def rows(self) -> list[Tally]:
        """What happened, in the steps of a table."""
        step = int(SPANS[self.span][2].total_seconds())
        found: dict[int, list[Tally]] = {}
        for each in self.steps:
            found.setdefault(int(each.begins_at.timestamp()) // step * step, []).append(each)
        return [
            replace(added_up(each), begins_at=datetime.fromtimestamp(at, UTC))
            for at, each in found.items()
        ]


async def course_of(store: Store, span: str, agents: Sequence[str] | None = None) -> Course:
    """Return what happened until now, in one statement beside that for the database's time.

    Args:
        store: the database.
        span: over which time, of :data:`SPANS`.
        agents: the ids of the agents whose runs are counted; by default of all.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    length, step, _ = SPANS[span]
    now = await store.overview.now()
    # As many steps as there are in the time, the one that goes on included.
    since = now - length + step
    return Course(span, await store.figures.between(since, now, step, agents))


def added_up(tallies: Iterable[Tally]) -> Tally:
    """Return what happened in several steps together."""
    whole = Tally(datetime.fromtimestamp(0, UTC))
    for number, each in enumerate(tallies):
        whole = replace(
            whole,
            begins_at=whole.begins_at if number else each.begins_at,
            seconds=whole.seconds + each.seconds,
            waits=tuple(map(int.__add__, whole.waits, each.waits)),
            durations=tuple(map(int.__add__, whole.durations, each.durations)),
            **{name: getattr(whole, name) + getattr(each, name) for name in NUMBERS},
        )
    return whole


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return within how many seconds a share of what was counted was done; None where none was.

    It is exact at the bounds between which was counted, and lies on a line between them. Of more
    than the last bound is only known that it is more: then that bound is returned.

    Args:
        counts: how many there are between each of :data:`~kern.db.figures.BOUNDS`.
        share: the share, above 0 and up to 1.

    Example:
        >>> percentile([0, 0, 0, 0, 0, 0, 10, 10, *[0] * 12], 0.75)
        1.5
    """
    wanted = share * sum(counts)
    below, before = 0.0, 0
    for bound, count in zip(BOUNDS, counts, strict=False):
        if count and before + count >= wanted:
            return below + (bound - below) * (wanted - before) / count
        below, before = bound, before + count
    return below if sum(counts) else None


def mean(tally: Tally, name: str) -> float | None:
    """Return how many runs there were on average; None where that was not looked at.

    Args:
        tally: what was counted.
        name: ``executing``, ``due`` or ``waiting``.
    """
    total: int = getattr(tally, name)
    return total / tally.samples if tally.samples else None


def as_json(course: Course) -> dict[str, object]:
    """Return what happened as JSON values: durations in seconds, costs in US dollars."""
    return {
        "span": course.span,
        "step": SPANS[course.span][1].total_seconds(),
        "whole": _as_json(course.whole) if course.steps else None,
        "steps": [_as_json(each) for each in course.steps],
    }


def _as_json(tally: Tally) -> dict[str, object]:
    values: dict[str, object] = {
        "begins_at": tally.begins_at.isoformat(),
        "seconds": tally.seconds,
    }
    for name in ("executing", "due", "waiting"):
        average = mean(tally, name)
        values[name] = None if average is None else round(average, 3)
    for name in NUMBERS[4:]:
        values[name] = getattr(tally, name)
    for name, counts in (("wait", tally.waits), ("duration", tally.durations)):
        for share in (50, 95):
            found = percentile(counts, share / 100)
            values[f"{name}_p{share}"] = None if found is None else round(found, 4)
    return values
