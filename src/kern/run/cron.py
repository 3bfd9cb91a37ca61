"""The moments that a cron line names in a time zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from kern.errors import InvalidInputError

_FORM = (
    "Write five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12), day of "
    "the week (0-7 or SUN-SAT), as in '30 9 * * MON-FRI' for half past nine on weekdays."
)


class Cron:
    """A cron line in a time zone.

    Where clocks are changed it does what cron in Debian does. A line with a fixed minute and hour
    names one moment a day: the end of the hour that is left out, or the first of two hours that
    are the same. A line whose minute or hour begins with ``*`` goes on as time passes.
    """

    def __init__(self, line: str, timezone: str) -> None:
        """Read a line.

        Raises:
            InvalidInputError: it is no cron line, it never comes, or the time zone is not known.
        """
        fields = line.split() if isinstance(line, str) else []
        if len(fields) != 5:
            raise InvalidInputError(f"cron {line!r} does not have five fields. {_FORM}")
        self.line = " ".join(fields)
        self.zone = _zone(timezone)
        try:
            next(CronSim(self.line, datetime.now(UTC)))
        except CronSimError as error:
            raise InvalidInputError(f"cron {line!r} cannot be used: {error}. {_FORM}") from error
        except StopIteration:
            raise InvalidInputError(f"cron {line!r} names no moment that ever comes.") from None

    def after(self, moment: datetime) -> datetime:
        """Return the first moment after ``moment``, in UTC."""
        # In an hour that comes twice the library begins with the first one again.
        ticks = (tick.astimezone(UTC) for tick in CronSim(self.line, moment.astimezone(self.zone)))
        return next(tick for tick in ticks if tick > moment)

    def until(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments up to ``moment``, in UTC, the latest first."""
        # Begun later: in the second of two hours the library does not look into the first one.
        begin = (moment + timedelta(hours=3)).astimezone(self.zone)
        for tick in CronSim(self.line, begin, reverse=True):
            if (past := tick.astimezone(UTC)) <= moment:
                yield past


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        known = {each.lower(): each for each in available_timezones()}
        near = [known[each] for each in get_close_matches(str(name).lower(), known)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InvalidInputError(
            f"timezone {name!r} is not known.{hint} Use a name from the IANA time zone database, "
            "such as Europe/Berlin, or UTC."
        ) from error
