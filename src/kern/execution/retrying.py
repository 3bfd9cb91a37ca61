"""How an agent has a failed run tried again: how often, and after which pause."""

from dataclasses import dataclass

from kern.aio.jitter import jitter
from kern.errors import ModelError
from kern.run.duration import LONGEST_PAUSE

# The pause before the next attempt where an agent says nothing of it, in seconds: the first time,
# doubled each time, at most; a random part of up to a half is left out, so that runs do not return
# together.
_FIRST, _LONGEST = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Retrying:
    """What an agent says of its retries.

    Attributes:
        times: how often a run that failed is tried again.
        delay: the seconds before that.
        doubled: whether each pause is twice as long as the one before.

    Example:
        >>> Retrying(3, 2.0, True).pause(1, ModelError("Slow down.", retry_after=1.0))
        4.0
    """

    times: int
    delay: float
    doubled: bool

    def pause(self, failures: int, failure: ModelError, share: float = 1.0) -> float:
        """Return the seconds before the next attempt.

        Args:
            failures: how many attempts have failed before the last one.
            failure: what that failed of; it may say how long the provider asked to be left alone.
            share: the part of the pause to take.
        """
        longest = max(self.delay, _LONGEST)
        own = min(self.delay * 2.0**failures, longest) if self.doubled else self.delay
        return max(own * share, min(failure.retry_after or 0.0, LONGEST_PAUSE))


def pause_before_retry(retrying: Retrying | None, failures: int, failure: ModelError) -> float:
    """Return the seconds before the next attempt, as the agent says or as kern does."""
    if retrying is not None:
        return retrying.pause(failures, failure)
    return Retrying(0, _FIRST, doubled=True).pause(failures, failure, jitter.uniform(0.5, 1))
