"""The attempt that the running code belongs to, and what it has used so far."""

from contextvars import ContextVar
from dataclasses import dataclass

from kern.run.base import RunInfo


@dataclass(slots=True)
class Work:
    """An attempt that is observed; its calls add to it from their tasks.

    Attributes:
        run: the run.
        is_traced: whether it has a span.
        input_tokens: what its model calls were sent, in tokens.
        output_tokens: what they have produced.
        model_calls: how many there were, failed ones included.
        tool_calls: how many calls were made, failed ones included.
    """

    run: RunInfo
    is_traced: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0


current: ContextVar[Work | None] = ContextVar("current_work", default=None)
"""The attempt whose code runs here, where it is observed."""
