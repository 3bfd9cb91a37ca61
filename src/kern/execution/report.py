"""What becomes of runs in this process, reported to the logger ``kern.runs``."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from typing_extensions import override

from kern.errors import CheckError, KernError
from kern.execution.middleware import Middleware
from kern.execution.observing import Observer
from kern.run.agent import RunOutput
from kern.run.base import RunInfo, RunStatus
from kern.run.printable import one_line

logger = logging.getLogger("kern.runs")

ended: list[Callable[[RunInfo, RunStatus, float], None]] = []
"""Called with each attempt that has come to its end in this process.

They are given the run, what it is since then, and the seconds that the attempt took.
"""


class RunLog(Middleware):
    """Logs what becomes of a run, with what it is about as attributes of the log record.

    A failure is not its subject: :func:`log_failure` logs that whatever is logged else.

    These are ``run_id``, ``session_id``, ``agent_id``, ``attempt``, ``seconds`` (how long the
    attempt took, once it is over), ``error``, and ``event``: ``"started"``, ``"completed"``,
    ``"cancelled"``, ``"paused"``, ``"released"`` (another executor goes on) or
    ``"retry"`` (a later attempt does).
    """

    @override
    async def run(self, run: RunInfo, proceed: Callable[[], Awaitable[RunOutput]]) -> RunOutput:
        began = time.monotonic()
        _log("started", run)
        try:
            output = await proceed()
        except asyncio.CancelledError:
            _log("released", run, time.monotonic() - began)
            raise
        # A stale one leaves it to another to say what becomes of the run.
        if output.attempt == run.attempt and output.status is not RunStatus.error:
            event = output.status.lower()
            if output.status is RunStatus.pending:
                event = "released" if output.error is None else "retry"
            _log(event, run, time.monotonic() - began, output.error)
        return output


def with_log(middleware: Sequence[Middleware]) -> Sequence[Middleware]:
    """Return the middleware of a run, with the log around it where somebody wants that."""
    if not logger.isEnabledFor(logging.INFO):
        return middleware
    # Observers of all runs come first; what is logged belongs to their spans.
    within = next((at for at, of in enumerate(middleware) if not isinstance(of, Observer)), None)
    return (*middleware[:within], _LOG, *([] if within is None else middleware[within:]))


def log_failure(
    run: RunInfo, error: str | None, seconds: float | None = None, of: BaseException | None = None
) -> None:
    """Log that a run has ended in ERROR, as the event ``"error"``; one that was refused warns.

    Args:
        run: the run.
        error: what its output says of it.
        seconds: how long its last attempt took.
        of: what it failed of; its traceback is shown unless it is an error of kern, which says
            itself what to do.
    """
    if isinstance(of, CheckError):  # It was refused, as somebody wanted.
        _log("error", run, seconds, error, logging.WARNING)
        return
    shown = None if isinstance(of, KernError) else of
    _log("error", run, seconds, error, logging.ERROR, shown)


def log_loss(run: RunInfo, status: RunStatus) -> None:
    """Log that the process of an attempt gave no sign of life, as the event ``"lost"``.

    Args:
        run: the run, with that attempt.
        status: what the run is since then.
    """
    error = f"its process gave no sign of life for a heartbeat; the run is {status}"
    _log("lost", run, error=error, level=logging.WARNING)


_LOG = RunLog()

# How much of an error, which models and tools may have written, is in a line, in characters.
_LONGEST = 2000


def _log(
    event: str,
    run: RunInfo,
    seconds: float | None = None,
    error: str | None = None,
    level: int = logging.INFO,
    shown: BaseException | None = None,
) -> None:
    logger.log(
        level,
        "run %s %s (agent %s, attempt %d)%s",
        run.run_id,
        "failed" if event == "error" else event,
        run.agent_id,
        run.attempt,
        "" if error is None else f": {one_line(error, _LONGEST)}",
        exc_info=shown,
        extra={
            "event": event,
            "run_id": run.run_id,
            "session_id": run.session_id,
            "agent_id": run.agent_id,
            "attempt": run.attempt,
            "seconds": seconds,
            "error": error,
        },
    )
