"""What a run that stands still is given to go on with."""

from collections.abc import Mapping, Sequence

import msgspec

from kern.run.message import Message
from kern.run.requirement import RunRequirement


class Answer(msgspec.Struct, frozen=True):
    """What a run that stands still is given to go on with.

    Attributes:
        requirements: those of a paused run, answered; None where nobody gives any.
        results: by tool call id, what calls returned that were made elsewhere.
        messages: what the model is told beside it.
        by: who gives it.
        metadata: values to keep with the run, over those that it has.
    """

    requirements: Sequence[RunRequirement] | None = None
    results: Mapping[str, str] = {}
    messages: tuple[Message, ...] = ()
    by: str | None = None
    metadata: Mapping[str, object] = {}

    @property
    def decides(self) -> bool:
        """Whether it answers anything."""
        return self.requirements is not None or bool(self.results)
