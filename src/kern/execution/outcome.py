"""What an attempt has come to: how its output says that it was cancelled, or of what it failed."""

import asyncio
import logging
from typing import cast

from kern.errors import KernError, RunTimeoutError, ServerShutdownError, described
from kern.execution.attempt import Attempt
from kern.failures import check_details, kind_of
from kern.run.base import RunStatus
from kern.run.codec import to_json_value
from kern.run.printable import in_log

logger = logging.getLogger("kern")


def be_cancelled(attempt: Attempt) -> None:
    """Have an attempt end CANCELLED, whose task was stopped for that.

    Args:
        attempt: the attempt, in its own task.
    """
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()  # The stop has served its purpose; the task goes on to settle the run.
    output = attempt.output
    output.status, output.error, output.error_kind = RunStatus.cancelled, None, None
    output.error_details = None
    attempt.failure = None


def shut_down() -> ServerShutdownError:
    """Return what a run fails of that its process could not carry to its end."""
    return ServerShutdownError(
        "The server ended, and the run was not done within the time that was left. What it has "
        "done is kept: retry it, or run it in the background, where it goes on by itself."
    )


def too_long(attempt: Attempt) -> RunTimeoutError:
    """Return what a run fails of that has used up its time.

    Args:
        attempt: the attempt, which has a time limit.
    """
    return RunTimeoutError(
        f"The run was not done within its timeout of {attempt.timeout:g} s. What it has done is "
        "kept; retry the run to go on from there, with as much time again."
    )


def fail(attempt: Attempt, error: BaseException) -> None:
    """Have an attempt end in ERROR.

    Args:
        attempt: the attempt.
        error: what it failed of.
    """
    output = attempt.output
    attempt.failure = error
    output.status, output.error_kind = RunStatus.error, kind_of(error)
    output.error = str(error) if isinstance(error, KernError) else described(error)
    output.error_details = _details(output.run_id, error)


def _details(run_id: str, error: BaseException) -> dict[str, object] | None:
    """Return what a check says beside its message, as the run's readers have it: as JSON."""
    if (details := check_details(error)) is None:
        return None
    try:
        return cast("dict[str, object]", to_json_value(details))
    except Exception as wrong:  # A check of a user's may say anything.
        logger.warning(
            "run %s: the additional_data of its %s is no JSON, and is not kept: %s",
            *(run_id, type(error).__name__, in_log(described(wrong))),
        )
        return {"check_trigger": details["check_trigger"]}
