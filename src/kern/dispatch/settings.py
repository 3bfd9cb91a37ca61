"""The settings of a process that executes runs: in code, or else in the environment."""

import logging
import math
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from kern.errors import ConfigurationError
from kern.keywords import nearest
from kern.run.duration import LONGEST, parse_duration
from kern.run.numbers import check_count

# How many background runs a process without a limit of its own executes at once.
_SLOTS = 1000

logger = logging.getLogger("kern")

_KNOWN = (
    "KERN_CONCURRENCY",
    "KERN_DATABASE_WAIT",
    "KERN_DB_URL",
    "KERN_HEARTBEAT",
    "KERN_HOME",
    "KERN_IDEMPOTENCY_KEY",  # not a setting: scripts of skills are given it, and may use kern
    "KERN_IN_PROCESS_WORKER",
    "KERN_JWT_AUDIENCE",
    "KERN_JWT_ISSUER",
    "KERN_JWT_JWKS_URL",
    "KERN_JWT_SECRET",
    "KERN_KNOWLEDGE_ALLOW_PRIVATE",
    "KERN_MAX_LOOP_BLOCK",
    "KERN_MAX_MEDIA_SIZE",
    "KERN_MAX_NESTING",
    "KERN_MAX_RUN_MEDIA_SIZE",
    "KERN_MAX_THREADS",
    "KERN_MCP_ANSWERS",
    "KERN_MCP_WAIT",
    "KERN_RETENTION",
    "KERN_UNSERVED_TIMEOUT",
    "KERN_WEBHOOK_ALLOW_PRIVATE",
    "KERN_WEBHOOK_SECRET",
)

_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Settings:
    """How a process takes part.

    Attributes:
        in_process_worker: whether the process executes runs, or only submits them
            (``KERN_IN_PROCESS_WORKER``, default 1).
        heartbeat: seconds without a sign of life after which a run's executor counts as lost
            (``KERN_HEARTBEAT``, default 15).
        concurrency: how many background runs the process executes at once for each database
            (``KERN_CONCURRENCY``), or None for the default, 1,000.
        max_loop_block: seconds for which user code may block an event loop before the runs that
            execute there count as lost (``KERN_MAX_LOOP_BLOCK``, default 300).
        unserved_timeout: how long a run that no worker can execute is kept waiting before it
            ends in ERROR (``KERN_UNSERVED_TIMEOUT``, default ``24h``).
        retention: how long runs that have ended are kept, or None for any time (``KERN_RETENTION``,
            such as ``30d`` or ``12h``).
    """

    in_process_worker: bool = True
    heartbeat: float = 15.0
    concurrency: int | None = None
    max_loop_block: float = 300.0
    unserved_timeout: timedelta = timedelta(days=1)
    retention: timedelta | None = None

    @property
    def slots(self) -> int:
        """How many background runs the process executes at once for each database."""
        return self.concurrency or _SLOTS

    @classmethod
    def of(
        cls,
        *,
        in_process_worker: bool | None = None,
        heartbeat: float | None = None,
        concurrency: int | None = None,
        max_loop_block: float | None = None,
        unserved_timeout: timedelta | str | None = None,
        retention: timedelta | str | None = None,
    ) -> Self:
        """Return what is given, and for the rest what the environment says.

        Raises:
            ConfigurationError: a value, or a variable, holds something else than it should.
        """
        warn_of_unknown()
        return cls(
            _flag(*_chosen("in_process_worker", in_process_worker, "1")),
            _seconds(*_chosen("heartbeat", heartbeat, "15"), 0.5, 3600),
            _count(*_chosen("concurrency", concurrency, "")),
            _seconds(*_chosen("max_loop_block", max_loop_block, "300"), 1, 86_400),
            _span(*_chosen("unserved_timeout", unserved_timeout, "24h")) or timedelta(days=1),
            _span(*_chosen("retention", retention, "")),
        )


def warn_of_unknown() -> None:
    """Log each variable of the environment that looks like a setting of kern and is none, once."""
    for name in os.environ:
        if name.startswith("KERN_") and name not in _KNOWN and name not in _warned:
            _warned.add(name)
            logger.warning(
                "%s is no setting of kern and has no effect. %s", name, nearest(name, _KNOWN)
            )


def _chosen(name: str, given: object, default: str) -> tuple[str, object]:
    """Return a value with the name by which its user knows it."""
    if given is not None:
        return name, given
    variable = f"KERN_{name.upper()}"
    return variable, os.environ.get(variable) or default


def _flag(name: str, value: object) -> bool:
    if value in ("0", "1", True, False):
        return value in ("1", True)
    raise ConfigurationError(f"{name} must be 0 or 1, not {value!r}.")


def _seconds(name: str, value: object, least: float, most: float) -> float:
    try:
        seconds = float(value) if isinstance(value, str | float | int) else math.nan
    except ValueError:
        seconds = math.nan
    if not least <= seconds <= most:
        raise ConfigurationError(f"{name} must be {least:g} to {most:g} seconds, not {value!r}.")
    return seconds


def _count(name: str, value: object) -> int | None:
    if value == "":
        return None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        value = int(value)
    return check_count(name, value, ConfigurationError)


def _span(name: str, value: object) -> timedelta | None:
    if value == "":
        return None
    span = value if isinstance(value, timedelta) else parse_duration(name, str(value))
    if not timedelta(0) < span <= LONGEST:
        raise ConfigurationError(
            f"{name} must be more than nothing and at most {LONGEST.days} days; unset, it is the "
            "default."
        )
    return span
