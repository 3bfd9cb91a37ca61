"""What keeps telemetry that fails, or is slow, away from runs."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from kern.aio.survived import survived

logger = logging.getLogger("kern")

Result = TypeVar("Result")

# How long something that a run waits for may take twice in a row, in seconds.
_PATIENCE = 0.5

# For how long telemetry rests after that, or after a failure, in seconds.
_REST = 30.0


class Guard:
    """Calls telemetry; after a failure, or two slow calls in a row, it is left alone for a while.

    So a tracer that takes seconds costs a process seconds a minute, not each run.
    """

    def __init__(self, rest: float = _REST) -> None:
        """Trust it.

        Args:
            rest: for how many seconds it is left alone.
        """
        self._rest = rest
        self._rests_until = 0.0
        self._slow: dict[str, int] = {}

    @property
    def rests(self) -> bool:
        """Whether telemetry is left alone now."""
        return time.monotonic() < self._rests_until

    def call(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Return what a function of telemetry returns; None where it fails, or rests.

        Args:
            what: what it does, for the log.
            function: the function.
        """
        if self.rests:
            return None
        began = time.monotonic()
        try:
            result = function()
        except Exception as error:
            self.failed(what, error)
            return None
        took = time.monotonic() - began
        slow = self._slow[what] = 0 if took < _PATIENCE else self._slow.get(what, 0) + 1
        if slow > 1:
            self._slow[what], self._rests_until = 0, time.monotonic() + self._rest
            logger.warning(
                "telemetry is slow: to %s took %.2g s; nothing is traced for %g s",
                *(what, took, self._rest),
            )
        return result

    def failed(self, what: str, error: Exception) -> None:
        """Leave telemetry alone for a while, and say so."""
        self._rests_until = time.monotonic() + self._rest
        survived(logger, error, "telemetry could not %s; it rests for %g s", what, self._rest)
