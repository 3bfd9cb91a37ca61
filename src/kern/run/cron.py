"""The moments that a cron line names in a time zone."""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from kern.errors import InvalidInputError

_FORM = (
    "Write five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12), day of "
    "the week (0-7 or SUN-SAT), as in '30 9 * * MON-FRI' for half past nine on weekdays."
)
_MEANT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# What each field may hold, in its order.
_KNOWN = [
    [str(number) for number in numbers]
    for numbers in (range(60), range(24), range(1, 32), range(1, 13), range(7))
]
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_STEP = re.compile(r"[^/]+/0*([1-9][0-9]*)")
_RANGE = re.compile(r"([0-9A-Z]+)-([0-9A-Z]+)(/[0-9]+)?")

# Files beside the database's own: those of this machine, and with leap seconds, as no clock shows.
_ELSEWHERE = re.compile(r"localtime|posixrules|Factory|(posix|right)/.*")

# Clocks that go further forward are corrected, as in Samoa, which had no 30 December 2011.
_LONGEST_GAP = timedelta(hours=3)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


class Cron:
    """A cron line in a time zone.

    Where clocks are changed it does what cron in Debian does. A line with a fixed minute and hour
    names one moment a day: the end of the time that is left out, or the first of two times that
    are the same. A line whose minute or hour begins with ``*`` goes on as time passes.
    """

    def __init__(self, line: str, timezone: str) -> None:
        """Read a line.

        Raises:
            InvalidInputError: it is no cron line, it never comes, or the time zone is not known.
        """
        fields = line.split() if isinstance(line, str) else []
        if len(fields) != 5:
            meant = _MEANT.get("".join(fields).lower())
            remedy = f"Write {meant!r} for it." if meant else _FORM
            raise InvalidInputError(f"cron {line!r:.200} does not have five fields. {remedy}")
        self.line: str = " ".join(fields)
        self.zone: ZoneInfo = _zone(timezone)
        self._passes = any(field.startswith("*") for field in fields[:2])
        wrong = "".join(map(_wrong, fields, _KNOWN))
        try:
            next(CronSim(self.line, datetime.now(UTC)))
            if wrong:
                raise CronSimError("A field cannot be meant so")
        except (CronSimError, ValueError) as error:
            raise InvalidInputError(
                f"cron {line!r:.200} cannot be used: {error}.{wrong} {_FORM}"
            ) from error
        except StopIteration:
            raise InvalidInputError(f"cron {line!r} names no moment that ever comes.") from None

    def after(self, moment: datetime) -> datetime:
        """Return the first moment after ``moment``, in UTC."""
        begin = min(self._wall(moment, moment), self._wall(moment, moment + _DAY))
        ticks = self._ticks(CronSim(self.line, begin), is_reverse=False)
        return next(tick for tick in ticks if tick > moment)

    def until(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments up to ``moment``, in UTC, the latest first."""
        begin = max(self._wall(moment, moment), self._wall(moment, moment - _DAY)) + _MINUTE
        ticks = self._ticks(CronSim(self.line, begin, reverse=True), is_reverse=True)
        return (tick for tick in ticks if tick <= moment)

    def _ticks(self, walls: Iterator[datetime], *, is_reverse: bool) -> Iterator[datetime]:
        """Yield the moments at which the clocks show ``walls``, in UTC.

        What a clock shows is shown later the later it is, but for times that come twice. The first
        of the two come one after another, and so do the second ones; those that are not next in
        either direction are held back.
        """
        held: deque[datetime] = deque()
        last = None
        for wall in walls:
            first, second = (
                wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)
            )
            if first > second:  # No clock shows it.
                if self._passes or first - second > _LONGEST_GAP:
                    continue
                first = second = self._change(second, first)
            if not self._passes:
                second = first
            tick, other = (second, first) if is_reverse else (first, second)
            while held and (held[0] < tick) is not is_reverse:
                yield held.popleft()
            if tick != last:
                yield (last := tick)
            if other != tick:
                held.append(other)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return when the clocks are changed between two moments, to the minute."""
        old = self._wall(before, before)
        minutes = range(int((after - before) / _MINUTE))
        return before + _MINUTE * bisect_left(
            minutes, True, key=lambda n: self._wall(before, before + n * _MINUTE) != old
        )

    def _wall(self, moment: datetime, other: datetime) -> datetime:
        """Return what clocks would show at a moment if they were set as at the other one."""
        offset = other.astimezone(self.zone).utcoffset()
        assert offset is not None, "it has a time zone"
        return (moment.astimezone(UTC) + offset).replace(tzinfo=None)


def _wrong(field: str, known: Sequence[str]) -> str:
    """Return what is wrong with what a field says and the library tells nothing of, or ''."""
    names = {len(_MONTHS): _MONTHS, len(_DAYS): _DAYS}.get(len(known), known)
    for item in field.upper().split(","):
        step = _STEP.fullmatch(item)
        if step and (len(step[1]) > 2 or int(step[1]) > len(known)):
            return (
                f" {item!r:.50} steps over all that there is: steps begin anew with each hour, "
                "day, month, year or week."
            )
        if item == "?":
            return " '?' is of another kind of cron: write '*'."
        if found := _RANGE.fullmatch(item):
            words = names if found[1] in names and found[2] in names else known
            if {found[1], found[2]} <= {*words} and words.index(found[1]) > words.index(found[2]):
                upper, lower = f"{found[1]}-{words[-1]}", f"{words[0]}-{found[2]}"
                return f" {item!r} goes backwards: write {upper},{lower}."
    return ""


def _zone(name: str) -> ZoneInfo:
    try:
        if isinstance(name, str) and _ELSEWHERE.fullmatch(name):
            raise ValueError("it is another one on other machines, or is not there")
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        known = {each.lower(): each for each in available_timezones()}
        if not known:
            raise InvalidInputError(
                f"timezone {name!r} is not known, for there is no time zone database on this "
                "machine: pip install tzdata."
            ) from error
        near = [known[each] for each in get_close_matches(str(name).lower(), known)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InvalidInputError(
            f"timezone {name!r} is not known.{hint} Use a name from the IANA time zone database, "
            "such as Europe/Berlin, or UTC."
        ) from error
