"""What runs fail of, as it is stored with them, and as it is raised to those who ask for them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar, cast

from kern.errors import (
    BlobNotFoundError,
    BudgetExceededError,
    CheckError,
    ConfigurationError,
    ContentError,
    ContextWindowExceededError,
    DatabaseError,
    InputCheckError,
    JournalError,
    KernError,
    MissingKeyError,
    MissingToolError,
    ModelAuthenticationError,
    ModelError,
    ModelRateLimitError,
    NewerJournalError,
    OutputCheckError,
    OutputLimitError,
    OutputSchemaError,
    RequirementExpiredError,
    RunFailedError,
    RunTimeoutError,
    ServerShutdownError,
    ThreadLimitError,
    ToolsetError,
    UsageLimitError,
)

Failure = TypeVar("Failure", bound=BaseException)


def failure(
    kind: str | None, message: str, details: Mapping[str, object] | None = None
) -> KernError:
    """Return the error of which a run failed, perhaps in another process.

    Args:
        kind: the class of what the run failed of.
        message: what it said.
        details: what else a check has said, see :func:`check_details`.
    """
    for check in (InputCheckError, OutputCheckError):
        if kind == check.__name__:
            told = details or {}
            trigger = cast("str | None", told.get("check_trigger"))
            return check(
                message, trigger, cast("dict[str, object] | None", told.get("additional_data"))
            )
    known: tuple[type[KernError], ...] = (
        BlobNotFoundError,
        BudgetExceededError,
        ConfigurationError,
        ContentError,
        ContextWindowExceededError,
        DatabaseError,
        JournalError,
        MissingKeyError,
        MissingToolError,
        ModelAuthenticationError,
        ModelError,
        ModelRateLimitError,
        NewerJournalError,
        OutputLimitError,
        OutputSchemaError,
        RequirementExpiredError,
        RunTimeoutError,
        ServerShutdownError,
        ThreadLimitError,
        ToolsetError,
        UsageLimitError,
    )
    found = next((each for each in known if each.__name__ == kind), RunFailedError)
    return found(message)


def with_output(error: Failure, output: object) -> Failure:
    """Return an error with the run that failed of it, where an error can hold that."""
    with suppress(Exception):  # A class of a user's may have slots, or a say in it.
        setattr(error, "run_output", output)  # noqa: B010 # no class of ours, perhaps
    return error


def kind_of(error: BaseException) -> str:
    """Return the class by which what a run failed of is known everywhere: of a check ours."""
    for check in (InputCheckError, OutputCheckError):
        if isinstance(error, check):
            return check.__name__
    return type(error).__name__


def check_details(error: BaseException) -> dict[str, object] | None:
    """Return what a check says beside its message, to be stored; None of any other error."""
    if not isinstance(error, CheckError):
        return None
    details: dict[str, object] = {"check_trigger": error.error_id}
    if error.additional_data is not None:
        details["additional_data"] = error.additional_data
    return details
