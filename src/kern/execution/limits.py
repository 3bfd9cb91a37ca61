"""How much a run may use: counted by its journal, over all its attempts."""

from kern.errors import UsageLimitError
from kern.execution.attempt import Attempt


def check_limits(attempt: Attempt) -> None:
    """Make sure that the model may be asked once more.

    Raises:
        UsageLimitError: the run has used as much as it may.
    """
    turns, limit = len(attempt.state.turns), attempt.spec.max_turns
    if limit is not None and turns >= limit:
        raise UsageLimitError(
            f"The model was asked max_turns={limit} times and has not come to an end. What the "
            "run has done is kept; raise max_turns and retry the run to go on from there."
        )
