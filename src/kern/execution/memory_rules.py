"""What an agent says of the memories of its users."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kern.memory.capture import Capture


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """What an agent says of the memories of its users.

    Attributes:
        capture: how a model draws them.
        on_run: whether that is done after each run.
        has_tool: whether the agent's model has a tool for it.
    """

    capture: "Capture"
    on_run: bool = False
    has_tool: bool = False
