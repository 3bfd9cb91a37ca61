"""How a run can be asked for, beyond its input."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, get_args

from kern.dispatch.submission import SessionPolicy
from kern.errors import InvalidInputError
from kern.models.form import Form
from kern.run.base import current_run, current_user
from kern.run.codec import check_id, check_user, encode
from kern.run.identity import new_id
from kern.run.message import Message
from kern.run.numbers import LARGEST, check_count, check_seconds
from kern.run.record import NewRun
from kern.run.usage import UsageLimits
from kern.webhooks.address import check_webhook


class Instance(Protocol):
    """An instance of a pydantic model."""

    def model_dump(self) -> dict[str, Any]:
        """Return its members."""


Input = str | Message | Sequence[Message | dict[str, object]] | Mapping[str, object] | Instance
"""What a run can be given: a text, a message, a list of messages, or what ``input_schema`` says."""


def written(input_schema: object, given: object) -> object:
    """Return what a run is given, as JSON text where the agent says what that has to be.

    Raises:
        InvalidInputError: it does not fit.
    """
    form = Form.of(input_schema)
    if form is None:
        return given
    try:
        return form.write(given)
    except ValueError as unfit:
        raise InvalidInputError(f"The input is no {form.content_type}: {unfit}") from None


_POLICIES: tuple[SessionPolicy, ...] = get_args(SessionPolicy)


def new_run(
    agent_id: str,
    input: str,
    *,
    run_id: str | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    metadata: dict[str, object] | None = None,
    timeout: float | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    max_attempts: int | None = None,
    session_policy: SessionPolicy | None = None,
    webhook: str | None = None,
    usage_limits: UsageLimits | None = None,
    is_team: bool = False,
) -> NewRun:
    """Return the run that a caller has asked for; see :meth:`kern.agent.Agent.arun`.

    Raises:
        InvalidInputError: an option cannot be used.
    """
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInputError(f"metadata must be a dict, not {type(metadata).__name__}.")
    if session_policy is not None:
        check_policy(session_policy)
    chosen: tuple[str, ...] = ()
    if run_id is not None:
        chosen = ("run_id",)
    if session_id is not None:
        chosen += ("session_id",)
    limits = None if usage_limits is None else check_limits(usage_limits)
    return NewRun(
        new_id() if run_id is None else check_id("run_id", run_id),
        new_id() if session_id is None else check_id("session_id", session_id),
        agent_id,
        check_user(user_id) or current_user.get(),
        input,
        None if metadata is None else encode(metadata, "metadata"),
        parent_run_id=current_run.get(),
        timeout=None if timeout is None else check_seconds("timeout", timeout),
        priority=_check_priority(priority),
        run_at=None if run_at is None else _check_moment(run_at),
        max_attempts=None if max_attempts is None else check_count("max_attempts", max_attempts),
        webhook=None if webhook is None else check_webhook(webhook),
        journal_version=1 if limits is None or limits.cost is None else 2,
        usage_limits=None if limits is None else limits.to_json(),
        is_new_session=session_id is None,
        session_type="team" if is_team else None,
        chosen=chosen,
    )


def check_limits(value: object) -> UsageLimits:
    """Return limits of use.

    Raises:
        InvalidInputError: they are something else.
    """
    if isinstance(value, UsageLimits):
        return value
    raise InvalidInputError(f"usage_limits must be UsageLimits(...), not {value!r:.50}.")


def check_policy(value: object) -> SessionPolicy:
    """Return a session policy.

    Raises:
        InvalidInputError: it is none.
    """
    for policy in _POLICIES:
        if value == policy:
            return policy
    known = ", ".join(map(repr, _POLICIES))
    raise InvalidInputError(f"session_policy must be one of {known}, not {value!r:.50}.")


def _check_priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise InvalidInputError(
            f"priority must be a whole number from {-LARGEST} to {LARGEST}, of which the highest "
            f"starts first, not {value!r:.50}."
        )
    return value


def _check_moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInputError(
            f"run_at must be a datetime with a time zone, not {value!r:.50}; such as "
            "datetime.now(UTC) + timedelta(minutes=5)."
        )
    # Not every database counts further, nor does every clock that reads what it counts.
    if not 1970 <= value.year < 9999:
        raise InvalidInputError(f"run_at must lie in the years 1970 to 9998, not in {value.year}.")
    return value
