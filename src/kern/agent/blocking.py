"""Where the synchronous methods of an agent do their work."""

from kern.aio.portal import Portal, portal


def blocking(twin: str) -> Portal:
    """Return the loop on which a synchronous method runs its asynchronous twin.

    Args:
        twin: how the twin is called, for the error.
    """
    return portal()
