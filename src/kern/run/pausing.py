"""What user code raises to have a person asked before it goes on."""

import time
from collections.abc import Sequence
from typing import Literal

from kern.run.numbers import check_seconds
from kern.run.requirement import CallPaused, OnExpiry, RunRequirement, UserInputField


class ApprovalRequired(CallPaused):
    """What a tool, or a hook around its calls, raises to have a person asked first.

    The run pauses once its other calls have ended. With the answer the call is made again from its
    top: ``run_context.is_approved`` says then that it was allowed, ``run_context.answers`` has what
    was given. Where it was rejected it is not, and the model is told so.

    Example:
        >>> from kern.run.base import RunContext
        >>> def refund(amount: int, run_context: RunContext) -> str:
        ...     if amount > 100 and not run_context.is_approved:
        ...         raise ApprovalRequired(f"Refund {amount} euros?")
        ...     return f"refunded {amount}"
    """

    def __init__(
        self,
        message: str = "",
        *,
        kind: Literal["confirmation", "user_input", "external_execution"] = "confirmation",
        fields: Sequence[UserInputField | str] | None = None,
        expires_in: float | None = None,
        on_expiry: OnExpiry = "reject",
    ) -> None:
        """Wait for a person.

        Args:
            message: what the person is told.
            kind: ``"confirmation"``; ``"user_input"``, whose values are in ``run_context.answers``;
                or ``"external_execution"``, where the result that is given is the call's.
            fields: with ``"user_input"``, which it is without a kind: what is asked for.
            expires_in: seconds for which it can be answered; by default as the tool says.
            on_expiry: what becomes of it then; see :class:`RunRequirement`.

        Raises:
            InvalidInputError: it cannot expire in that many seconds.
        """
        if expires_in is not None:
            check_seconds("expires_in", expires_in)
        asked = [UserInputField(each) if isinstance(each, str) else each for each in fields or ()]
        kind = "user_input" if asked else kind
        requirement = RunRequirement(
            "",
            kind,
            expires_at=None if expires_in is None else time.time() + expires_in,
            on_expiry=on_expiry,
            user_input_schema=asked or None,
            passes=kind == "user_input",
            message=message or None,
        )
        super().__init__([requirement])
