"""What functions of users ask for of a run, and whose children the runs are that they begin."""

from collections.abc import Iterator, Set
from contextlib import contextmanager, nullcontext

from kern.execution.attempt import Attempt
from kern.execution.blobs import whole
from kern.execution.sessions import session_of
from kern.media import Media, media_of
from kern.run.base import MEDIA_VALUES, STATE_VALUES, current_run, current_user
from kern.run.content import AudioPart, FilePart, ImagePart


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


async def given_media(attempt: Attempt) -> tuple[Media, ...]:
    """Return what the run was given, and what its tools have made before the last turn.

    Raises:
        BlobNotFoundError: it is not there any more.
    """
    given = [each for each in attempt.messages if each.role in ("user", "tool")]
    return tuple(
        media_of(part)
        for message in await whole(attempt.store, given, attempt.blobs, attempt.loaded)
        for part in message.parts
        if isinstance(part, ImagePart | AudioPart | FilePart)
    )


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
