"""How a model call is repeated: one policy for all providers."""

import asyncio
import logging

from kern import models
from kern.aio.jitter import jitter
from kern.errors import ConfigurationError, ModelError
from kern.run.printable import in_log

logger = logging.getLogger("kern")

# The pause before the first repetition, and the longest one that is chosen here, in seconds.
_FIRST, _LONGEST = 0.5, 8.0

# A provider that asks for a longer pause is left alone at once: it is no use to hold a slot.
_LONGEST_ASKED = 120.0


class Retries:
    """The repetitions of one call."""

    def __init__(self, limit: int, delay: float | None = None, doubled: bool | None = None) -> None:
        """Begin with none, before the first try.

        Args:
            limit: how many there may be with nothing reached between them.
            delay: the seconds before the first one, where the provider asks for none.
            doubled: whether each pause is twice as long as the one before; by default if no delay
                was chosen.

        Raises:
            ModelError: this process is to ask no provider.
        """
        if not models.ALLOW_MODEL_REQUESTS:
            raise ModelError(
                "A provider's model was asked though kern.models.ALLOW_MODEL_REQUESTS is False. "
                "Answer in the process: agent.override(model=ScriptedModel(...))."
            )
        self._limit = limit
        self._count = 0
        self._first, self._longest = _FIRST, _LONGEST
        if delay is not None:
            self._first, self._longest = delay, _LONGEST_ASKED if doubled else delay
        elif doubled is False:
            self._longest = _FIRST

    def reset(self) -> None:
        """Count from the beginning: the call has come further."""
        self._count = 0

    async def wait(self, error: ModelError) -> None:
        """Wait until the call may be repeated: as the provider asks, or longer each time.

        Args:
            error: what the last try failed of.

        Raises:
            ModelError: the error, where it will not pass, or not soon, or too often was tried.
        """
        asked = error.retry_after
        if not error.transient or self._count >= self._limit or (asked or 0.0) > _LONGEST_ASKED:
            raise error
        pause = min(self._first * 2.0**self._count, self._longest) * jitter.uniform(0.75, 1.0)
        self._count += 1
        # A little apart, so that all who were told the same do not come back at once.
        pause = pause if asked is None else asked * jitter.uniform(1.0, 1.1)
        told, limit = in_log(str(error)), self._limit
        logger.info("%s Trying again in %.1f s (%d of %d).", told, pause, self._count, limit)
        await asyncio.sleep(pause)


def check_delay(seconds: float | None) -> float | None:
    """Return the pause before a repetition that a user has chosen, or None.

    Raises:
        ConfigurationError: it is no number of seconds.
    """
    if seconds is None or (
        isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0
    ):
        return seconds
    raise ConfigurationError(
        f"delay_between_retries must be a number of seconds from 0 on, not {seconds!r:.50}."
    )
