"""Where the synchronous methods of an agent do their work."""

from kern.agent.lines import note_line
from kern.aio.guard import is_guarded
from kern.aio.portal import Portal, portal
from kern.dispatch.shutdown import follow_celery, handle_sigterm
from kern.errors import SyncInLoopError


def blocking(twin: str) -> Portal:
    """Return the loop on which a synchronous method runs its asynchronous twin.

    Args:
        twin: how the twin is called, for the error.

    Raises:
        SyncInLoopError: the caller would block an event loop that executes runs.
    """
    if is_guarded():
        raise SyncInLoopError(
            "A synchronous method would block this event loop, and with it the runs that it "
            f"executes. Write `{twin}` instead, or call the method in a thread, such as with "
            "asyncio.to_thread."
        )
    note_line()
    handle_sigterm()
    follow_celery()
    return portal()
