"""What a paused run waits for: a person's decision, as data."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from kern.errors import InvalidInputError, RunStateError
from kern.run.codec import dump, load
from kern.run.tool import ToolExecution

RequirementKind: TypeAlias = Literal["confirmation", "unknown_outcome"]
"""Why a person has to decide: before a call that asks for it, or after one that was interrupted."""


@dataclass(slots=True)
class RunRequirement:
    """One thing that a paused run waits for; answer it, and continue the run with it.

    Attributes:
        id: its identity: the idempotency key of the call that it is about.
        kind: ``"confirmation"``: the tool is called once a person has allowed it.
            ``"unknown_outcome"``: the call was under way when its process was lost.
        tool_execution: the call.
        schema: the arguments of the tool, as a JSON Schema, where the tool is known.
        created_at: when the run paused for it, in seconds since 1970.
        expires_at: until when it can be answered, in seconds since 1970; None for any time.
        confirmation: True to have the call made, False to have the model told that it was
            rejected, None while nobody has decided.
        confirmation_note: with a rejection, what the model is told of it.
        external_execution_result: the result of a call that was made elsewhere.

    Example:
        >>> call = ToolExecution("call_1", "refund", '{"amount": 5}')
        >>> requirement = RunRequirement("run/1/0", "confirmation", call)
        >>> requirement.is_resolved
        False
        >>> requirement.reject("Too much.")
        >>> requirement.is_resolved
        True
    """

    id: str
    kind: RequirementKind
    tool_execution: ToolExecution
    schema: dict[str, object] | None = None
    created_at: float = field(default_factory=time.time)
    expires_at: float | None = None
    confirmation: bool | None = None
    confirmation_note: str | None = None
    external_execution_result: str | None = None

    @property
    def needs_confirmation(self) -> bool:
        """Whether a person has yet to allow or reject the call."""
        return not self.is_resolved

    @property
    def is_resolved(self) -> bool:
        """Whether it was answered."""
        return self.confirmation is not None or self.external_execution_result is not None

    @property
    def rejection(self) -> str | None:
        """What the model is told where the call was rejected."""
        if self.confirmation is not False:
            return None
        note = f" {self.confirmation_note}" if self.confirmation_note else ""
        return f"Not called: a person has rejected this call.{note}"

    def confirm(self) -> None:
        """Have the call made.

        Raises:
            RunStateError: it has been answered already; so for the other decisions.
        """
        self._check_open()
        self.confirmation = True

    def reject(self, note: str | None = None) -> None:
        """Have the model told that the call was rejected.

        Args:
            note: what else it is told.

        Raises:
            InvalidInputError: the note is no text.
        """
        self._check_open()
        _check_text("The note", note or "")
        self.confirmation, self.confirmation_note = False, note

    def set_external_execution_result(self, result: str) -> None:
        """Give the result of a call that was made elsewhere, or whose outcome is known by now.

        Raises:
            InvalidInputError: it is no text.
        """
        self._check_open()
        _check_text("The result", result)
        self.external_execution_result = result

    def _check_open(self) -> None:
        if self.is_resolved:
            raise RunStateError(f"The requirement {self.id} has been answered already.")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} must be a text, not {type(value).__name__}.")


_decoder = msgspec.json.Decoder(list[RunRequirement])


def requirements_to_json(requirements: Sequence[RunRequirement]) -> str:
    """Return requirements as JSON text."""
    return dump(requirements)


def requirements_from_json(text: str) -> list[RunRequirement]:
    """Return the requirements that :func:`requirements_to_json` gave.

    Raises:
        ValueError: the text is damaged.
    """
    return load(text, _decoder)
