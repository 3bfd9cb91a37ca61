"""Approvals: the records of what a person has to allow before a run goes on, and of the answers."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import msgspec

from kern.errors import InvalidInputError
from kern.keywords import nearest
from kern.run.answers import answered
from kern.run.codec import check_id, dump, encode, parse
from kern.run.requirement import PauseType, RunRequirement

ApprovalStatus: TypeAlias = Literal["pending", "approved", "rejected", "expired", "cancelled"]
"""How an approval stands; all but the first are for good."""

RESOLVED: tuple[ApprovalStatus, ...] = ("approved", "rejected")
"""The statuses with which a run goes on."""

_JSON = ("tool_args", "requirements", "context", "resolution_data")
_MOMENTS = ("resolved_at", "created_at", "updated_at", "expires_at")


class ApprovalType(StrEnum):
    """Which record of a decision is kept.

    ``required``: it is made as the run pauses, and can be decided by itself. ``audit``: it is made
    once somebody has decided.

    Example:
        >>> ApprovalType("audit") is ApprovalType.audit
        True
    """

    required = "required"
    audit = "audit"


class Approval(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record of a decision, as it is stored. Moments are seconds since 1970.

    Attributes:
        id: its identity.
        run_id: the run that waits for it.
        session_id: the conversation of that run.
        status: how it stands.
        approval_type: ``"required"`` or ``"audit"``.
        pause_type: what a person has to give.
        tool_name: the tool that is to be called.
        tool_args: with which arguments, as JSON text.
        source_type: what has asked, ``"agent"`` or ``"team"``.
        source_name: what people call that.
        agent_id: the agent.
        team_id: the team.
        user_id: on whose behalf the run executes.
        requirement_id: which of the run's requirements it is about.
        requirements: that requirement, as JSON text: a list of one.
        context: what helps to decide, as JSON text.
        resolution_data: what was given with the decision, as JSON text.
        resolved_by: who has decided.
        resolved_at: when.
        created_at: when it was made.
        updated_at: when it was last changed.
        expires_at: until when it can be decided; None for any time.
        run_status: where the run is.
        schedule_id: the schedule that has started the run.
        schedule_run_id: the run, where a schedule has started it.
        strict: whether only this record decides, whatever the run is continued with.
    """

    id: str
    run_id: str
    requirement_id: str | None = None
    session_id: str | None = None
    status: str = "pending"
    approval_type: str = "required"
    pause_type: str = "confirmation"
    tool_name: str | None = None
    tool_args: str | None = None
    source_type: str = "agent"
    source_name: str | None = None
    agent_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    requirements: str | None = None
    context: str | None = None
    resolution_data: str | None = None
    resolved_by: str | None = None
    resolved_at: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    expires_at: float | None = None
    run_status: str | None = None
    schedule_id: str | None = None
    schedule_run_id: str | None = None
    strict: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether nobody has decided yet."""
        return self.status == "pending"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, as users see it; moments are whole seconds."""
        values: dict[str, Any] = msgspec.structs.asdict(self)
        for name in _JSON:
            if values.get(name) is not None:
                values[name] = parse(values[name])
        for name in _MOMENTS:
            if values[name] is not None:
                values[name] = int(values[name])
        return values


def answer_of(waiting: RunRequirement, record: Approval) -> RunRequirement:
    """Return what a run waits for, as a record answers it that is approved or rejected.

    Args:
        waiting: what the run waits for.
        record: the record of it.

    Raises:
        InvalidInputError: the record's ``resolution_data`` lacks a part of the answer, or has one
            that cannot be used.
    """
    data = parse(record.resolution_data) if record.resolution_data else {}
    data = data if isinstance(data, dict) else {}
    given = RunRequirement.from_dict(waiting.to_dict())
    if record.status == "rejected":
        given.confirmation, given.confirmation_note = False, data.get("note")
        return answered(waiting, given)
    result, values = data.get("result"), data.get("values") or {}
    if not isinstance(values, dict):
        raise InvalidInputError(f"values must be a dict, not {type(values).__name__}.")
    if values and waiting.kind not in ("user_input", "user_feedback"):
        raise InvalidInputError(
            f"The approval {record.id} of {record.tool_name} is one of a {waiting.pause_type}, "
            'which takes no values. Other arguments are resolution_data={"arguments": {...}}.'
        )
    match waiting.kind:
        case "user_input":
            given.provide_user_input(values)
        case "user_feedback":
            given.provide_user_feedback(values)
        case "confirmation" | "unknown_outcome" if result is None:
            given.confirm(data.get("arguments"))
    if result is not None:
        given.external_execution_result = result if isinstance(result, str) else dump(result)
    answer = answered(waiting, given)
    if not answer.is_resolved():
        missing = "the result" if waiting.kind == "external_execution" else "all values"
        raise InvalidInputError(
            f"The approval {record.id} of {record.tool_name} lacks {missing} that the call "
            f"needs. Give resolution_data={_NEEDED[waiting.pause_type]} with it."
        )
    return answer


_NEEDED: dict[PauseType, str] = {
    "confirmation": "{}",
    "user_input": '{"values": {"name": ...}}',
    "user_feedback": '{"values": {"question": ["answer"]}}',
    "external_execution": '{"result": "..."}',
}


class ApprovalChange(TypedDict, total=False):
    """What of an approval can be changed.

    Attributes:
        status: ``"approved"`` or ``"rejected"``.
        resolved_by: who has decided.
        resolved_at: when, in seconds since 1970; by default now.
        resolution_data: what is given with the decision: ``values`` for the fields of a user's
            input, the ``result`` of a call that was made elsewhere, the ``arguments`` with which a
            call is allowed, a ``note`` for the model with a rejection.
        context: what helps to decide, JSON values.
        expires_at: until when it can be decided, in seconds since 1970.
        run_status: is accepted, and changes nothing: it is read from the run.
    """

    status: str
    resolved_by: str | None
    resolved_at: float | None
    resolution_data: dict[str, Any] | None
    context: dict[str, Any] | None
    expires_at: float | None
    run_status: str | None


_CHOICES: dict[str, tuple[str, ...]] = {
    "status": get_args(ApprovalStatus),
    "approval_type": tuple(ApprovalType),
    "pause_type": get_args(PauseType),
    "source_type": ("agent", "team", "workflow"),
}


def columns_of(values: Mapping[str, object]) -> dict[str, Any]:
    """Return columns of an approval as they are stored, of what a user has given.

    Args:
        values: by the names of columns; JSON values, and moments in seconds since 1970 or as a
            datetime with a time zone.

    Raises:
        InvalidInputError: there is no such column, or a value cannot be used.
    """
    known = Approval.__struct_fields__
    for name in values:
        if name not in known:
            raise InvalidInputError(f"An approval has no {name!r}. {nearest(name, known)}")
    return {
        name: None if value is None else _column(name, value)
        for name, value in values.items()
        if value is not None or name not in (*_CHOICES, "strict")
    }


def _column(name: str, value: object) -> object:
    if (choices := _CHOICES.get(name)) is not None:
        if value not in choices:
            raise InvalidInputError(
                f"{name} must be one of {', '.join(choices)}, not {value!r:.50}."
            )
        return str(value)
    if name in _JSON:
        return encode(value, name)
    if name in _MOMENTS:
        return _moment(name, value)
    if name == "strict":
        return bool(value)
    return check_id(name, value)


def _moment(name: str, value: object) -> float:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise InvalidInputError(
        f"{name} must be seconds since 1970 or a datetime with a time zone, not {value!r:.50}."
    )
