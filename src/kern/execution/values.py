"""What functions of users ask for of a run, and whose children the runs are that they begin."""

from collections.abc import Iterator, Set
from contextlib import contextmanager, nullcontext

from kern.execution.attempt import Attempt, given_media
from kern.execution.sessions import session_of
from kern.run.base import MEDIA_VALUES, STATE_VALUES, current_run, current_user


async def run_values(attempt: Attempt, names: Set[str]) -> dict[str, object]:
    """Return what functions ask for of a run by these names; others are left out.

    Args:
        attempt: the attempt at the run.
        names: the names.

    Raises:
        BlobNotFoundError: its media is asked for, and is not there any more.
    """
    context = attempt.run_context
    if names & STATE_VALUES:
        await attempt.load_state()
    if names & MEDIA_VALUES and not context.media:
        context.media = await given_media(attempt)
    values = context.values(names)
    if "session" in names:
        values["session"] = await session_of(attempt)
    return values


@contextmanager
def as_parent(attempt: Attempt) -> Iterator[None]:
    """Have the runs that begin within be children of the attempt's run, which may wait for them."""
    output = attempt.output
    opened = nullcontext() if attempt.calls is None else attempt.calls.opened()
    run, user = current_run.set(output.run_id), current_user.set(output.user_id)
    try:
        with opened:
            yield
    finally:
        current_run.reset(run)
        current_user.reset(user)
