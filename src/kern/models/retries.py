"""How a model call is repeated: one policy for all providers."""

import asyncio
import logging
import random

from kern import models
from kern.errors import ModelError

logger = logging.getLogger("kern")

# The pause before the first repetition, and the longest one that is chosen here, in seconds.
_FIRST, _LONGEST = 0.5, 8.0

# A provider that asks for a longer pause is left alone at once: it is no use to hold a slot.
_LONGEST_ASKED = 120.0


class Retries:
    """The repetitions of one call."""

    def __init__(self, limit: int) -> None:
        """Begin with none, before the first try.

        Args:
            limit: how many there may be with nothing reached between them.

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
        pause = min(_FIRST * 2.0**self._count, _LONGEST) * random.uniform(0.75, 1.0)
        self._count += 1
        # A little apart, so that all who were told the same do not come back at once.
        pause = pause if asked is None else asked * random.uniform(1.0, 1.1)
        logger.info("%s Trying again in %.1f s (%d of %d).", error, pause, self._count, self._limit)
        await asyncio.sleep(pause)
