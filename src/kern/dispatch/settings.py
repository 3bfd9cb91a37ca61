"""What the environment sets for a process that executes runs."""

import math
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
        max_loop_block: seconds for which user code may block an event loop before the runs that
            execute there count as lost (``KERN_MAX_LOOP_BLOCK``, default 300).
        unserved_timeout: how long a run that no worker can execute is kept waiting before it
            ends in ERROR (``KERN_UNSERVED_TIMEOUT``, default ``24h``).
        retention: how long runs that have ended are kept, or None for ever (``KERN_RETENTION``,
            such as ``30d`` or ``12h``).
    """

    in_process_worker: bool = True
    heartbeat: float = 15.0
    concurrency: int | None = None
    max_loop_block: float = 300.0
    unserved_timeout: timedelta = timedelta(days=1)
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
        concurrency = os.environ.get("KERN_CONCURRENCY")
        if concurrency is not None and not (concurrency.isdecimal() and int(concurrency) > 0):
            raise ConfigurationError(
                f"KERN_CONCURRENCY must be a number of runs from 1 on, not {concurrency!r}."
            )
        return cls(
            worker == "1",
            _seconds("KERN_HEARTBEAT", "15", 0.5, 3600),
            None if concurrency is None else int(concurrency),
            _seconds("KERN_MAX_LOOP_BLOCK", "300", 1, 86_400),
            parse_duration("KERN_UNSERVED_TIMEOUT", os.environ.get("KERN_UNSERVED_TIMEOUT", "24h")),
            _retention(os.environ.get("KERN_RETENTION")),
        )


def _seconds(name: str, default: str, least: float, most: float) -> float:
    text = os.environ.get(name, default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not least <= seconds <= most:
        raise ConfigurationError(f"{name} must be {least:g} to {most:g} seconds, not {text!r}.")
    return seconds


def _retention(text: str | None) -> timedelta | None:
    if not text:
        return None
    retention = parse_duration("KERN_RETENTION", text)
    if not retention:
        raise ConfigurationError("KERN_RETENTION must be more than nothing; unset, it is for ever.")
    return retention
