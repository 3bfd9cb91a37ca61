"""The record of an approval: what a run has asked for, and what a person has decided."""

from typing import Literal, TypeAlias

import msgspec

ApprovalStatus: TypeAlias = Literal["pending", "approved", "rejected", "expired", "cancelled"]
"""How the record of an approval stands."""


class Approval(msgspec.Struct, frozen=True, gc=False):
    """A record of an approval that a run asks for as it pauses. Texts in JSON are ``*_json``.

    Attributes:
        id: its identity.
        run_id: the run.
        requirement_id: which of the run's requirements it answers.
        approval_type: ``"required"`` or ``"audit"``.
        pause_type: how it is answered; see :class:`~kern.run.requirement.RunRequirement`.
        strict: whether it alone decides.
        tool_name: the tool.
        tool_args_json: the arguments of the call.
        requirements_json: the requirement.
        context_json: what else a person may want to know.
        source_name: the name of the agent.
        expires_at: until when it can be answered, in seconds since 1970; None for any time.
    """

    id: str
    run_id: str
    requirement_id: str
    approval_type: Literal["required", "audit"]
    pause_type: str
    strict: bool
    tool_name: str
    tool_args_json: str
    requirements_json: str
    context_json: str
    source_name: str | None = None
    expires_at: float | None = None


class Resolution(msgspec.Struct, frozen=True, gc=False):
    """How a record is resolved by the answer with which a run is continued.

    Attributes:
        requirement_id: which requirement was answered.
        status: ``"approved"`` or ``"rejected"``.
        by: who has, where that is known.
        data_json: the values or the result that were given, as JSON text, or None.
    """

    requirement_id: str
    status: ApprovalStatus
    by: str | None = None
    data_json: str | None = None
