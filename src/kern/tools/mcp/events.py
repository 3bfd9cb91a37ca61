"""What a server tells while it is at work, as events of the run's stream."""

from dataclasses import dataclass

from kern.run.event import CustomEvent


@dataclass
class MCPProgressEvent(CustomEvent):
    """How far a call has come.

    Attributes:
        progress: how much is done.
        total: of how much, where the server knows that.
        message: what it is doing.

    Example:
        >>> event = MCPProgressEvent(progress=3, total=12, message="Reading pages")
        >>> f"{event.message}: {event.progress / event.total:.0%}"
        'Reading pages: 25%'
    """

    progress: float = 0.0
    total: float | None = None
    message: str | None = None


@dataclass
class MCPLogEvent(CustomEvent):
    """What a server logs during a call.

    Attributes:
        level: how important that is, from ``"debug"`` to ``"emergency"``.
        logger: the part of the server that says so.
        data: what it says: a text, or any JSON value.

    Example:
        >>> MCPLogEvent(level="warning", data="The index is old.").data
        'The index is old.'
    """

    level: str = "info"
    logger: str | None = None
    data: object = None
