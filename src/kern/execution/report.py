"""What becomes of runs in this process, reported to the logger ``kern.runs``."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from typing_extensions import override

from kern.execution.middleware import Middleware, RunInfo
from kern.run.agent import RunOutput
from kern.run.base import RunStatus

logger = logging.getLogger("kern.runs")


class RunLog(Middleware):
    """Logs each change of a run, with what it is about as attributes of the log record.

    These are ``run_id``, ``session_id``, ``agent_id``, ``attempt``, ``seconds`` (how long the
    attempt took, once it is over), ``error``, and ``event``: ``"started"``, ``"completed"``,
    ``"error"``, ``"cancelled"``, ``"paused"``, ``"released"`` (another executor goes on) or
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
        if output.attempt == run.attempt:  # Else it was stale, and another one says what becomes.
            event = output.status.lower()
            if output.status is RunStatus.pending:
                event = "released" if output.error is None else "retry"
            _log(event, run, time.monotonic() - began, output.error)
        return output


def with_log(middleware: Sequence[Middleware]) -> Sequence[Middleware]:
    """Return the middleware of a run, with the log around it where somebody wants that."""
    return (_LOG, *middleware) if logger.isEnabledFor(logging.INFO) else middleware


_LOG = RunLog()


def _log(event: str, run: RunInfo, seconds: float | None = None, error: str | None = None) -> None:
    logger.info(
        "run %s %s (agent %s, attempt %d)",
        run.run_id,
        event,
        run.agent_id,
        run.attempt,
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
