"""What becomes of runs in this process, reported to the logger ``kern.runs``."""

import logging

from kern.execution.attempt import Attempt

logger = logging.getLogger("kern.runs")


def report(event: str, attempt: Attempt, seconds: float | None = None) -> None:
    """Log a change of a run, with what it is about as attributes of the log record.

    Args:
        event: ``"started"``, ``"completed"``, ``"error"``, ``"cancelled"``, ``"paused"``,
            ``"released"`` (another executor goes on) or ``"retry"``.
        attempt: the attempt at it.
        seconds: how long the attempt took, once it is over.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    output = attempt.output
    logger.info(
        "run %s %s (agent %s, attempt %d)",
        output.run_id,
        event,
        output.agent_id,
        attempt.number,
        extra={
            "event": event,
            "run_id": output.run_id,
            "session_id": output.session_id,
            "agent_id": output.agent_id,
            "attempt": attempt.number,
            "seconds": seconds,
            "error": output.error,
        },
    )
