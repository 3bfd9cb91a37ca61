"""What the environment sets for the engine."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from kern.errors import ConfigurationError
from kern.run.duration import parse_duration


@dataclass(frozen=True, slots=True)
class Settings:
    """How a process takes part.

    Attributes:
        in_process_worker: whether the process executes runs, or only submits them
            (``KERN_IN_PROCESS_WORKER``, default 1).
        heartbeat: seconds without a sign of life after which a run's executor counts as lost
            (``KERN_HEARTBEAT``, default 15).
        concurrency: how many background runs the process executes at once, or None for any
            number (``KERN_CONCURRENCY``).
        retention: how long runs that have ended are kept, or None for ever (``KERN_RETENTION``,
            such as ``30d`` or ``12h``).
    """

    in_process_worker: bool = True
    heartbeat: float = 15.0
    concurrency: int | None = None
    retention: timedelta | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings.

        Raises:
            ConfigurationError: a variable holds something else than it should.
        """
        worker = os.environ.get("KERN_IN_PROCESS_WORKER", "1")
        if worker not in ("0", "1"):
            raise ConfigurationError(f"KERN_IN_PROCESS_WORKER must be 0 or 1, not {worker!r}.")
        heartbeat = os.environ.get("KERN_HEARTBEAT", "15")
        try:
            seconds = float(heartbeat)
        except ValueError:
            seconds = 0.0
        if not 0.5 <= seconds <= 3600:
            raise ConfigurationError(
                f"KERN_HEARTBEAT must be 0.5 to 3600 seconds, not {heartbeat!r}."
            )
        concurrency = os.environ.get("KERN_CONCURRENCY")
        if concurrency is not None and not (concurrency.isdecimal() and int(concurrency) > 0):
            raise ConfigurationError(
                f"KERN_CONCURRENCY must be a number of runs from 1 on, not {concurrency!r}."
            )
        return cls(
            worker == "1",
            seconds,
            None if concurrency is None else int(concurrency),
            _retention(os.environ.get("KERN_RETENTION")),
        )


def _retention(text: str | None) -> timedelta | None:
    if not text:
        return None
    retention = parse_duration("KERN_RETENTION", text)
    if not retention:
        raise ConfigurationError("KERN_RETENTION must be more than nothing; unset, it is for ever.")
    return retention
