"""What a step is."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Step:
    """What happened in a run, for good.

    Attributes:
        skippable: whether a reader that does not know this kind may go on without it.
        piece: whether a later step holds it too, so that it goes once the run has ended.
    """

    skippable: ClassVar[bool] = False
    piece: ClassVar[bool] = False
