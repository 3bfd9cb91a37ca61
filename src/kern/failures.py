"""What runs fail of, as it is stored with them, and as it is raised to those who ask for them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar, cast

from kern import errors
from kern.errors import CheckError, KernError, RunFailedError

Failure = TypeVar("Failure", bound=BaseException)

# What is of these only is known by its own name, which says more.
_BASES = (KernError, CheckError)


def failure(
    kind: str | None, message: str, details: Mapping[str, object] | None = None
) -> KernError:
    """Return the error of which a run failed, perhaps in another process.

    Args:
        kind: the class of what the run failed of.
        message: what it said.
        details: what else a check has said, see :func:`check_details`.
    """
    found = _ours(kind) or RunFailedError
    if details is None or not issubclass(found, CheckError):
        return found(message)
    trigger = cast("str | None", details.get("check_trigger"))
    return found(message, trigger, cast("dict[str, object] | None", details.get("additional_data")))


def _ours(kind: str | None) -> type[KernError] | None:
    """Return the class of ours that has this name, if there is one."""
    found: object = getattr(errors, kind) if kind in errors.__all__ else None
    return found if isinstance(found, type) and issubclass(found, KernError) else None


def with_output(error: Failure, output: object) -> Failure:
    """Return an error with the run that failed of it, where an error can hold that."""
    with suppress(Exception):  # A class of a user's may have slots, or a say in it.
        setattr(error, "run_output", output)  # noqa: B010 # no class of ours, perhaps
    return error


def kind_of(error: BaseException) -> str:
    """Return the class by which what a run failed of is known everywhere: if it can be, ours."""
    for each in type(error).__mro__:
        if each in _BASES:
            break
        if _ours(each.__name__) is each:
            return each.__name__
    return type(error).__name__


def check_details(error: BaseException) -> dict[str, object] | None:
    """Return what a check says beside its message, to be stored; None of any other error."""
    if not isinstance(error, CheckError):
        return None
    details: dict[str, object] = {"check_trigger": error.error_id}
    if error.additional_data is not None:
        details["additional_data"] = error.additional_data
    return details
