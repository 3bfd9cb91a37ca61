"""Counts the bytecode instructions that kern's own code executes: the same on every machine.

What ``@dataclass`` generates for kern's classes counts as well: else a constructor that is written
by hand in the place of a generated one would look dearer.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import kern

_KERN = str(Path(kern.__file__).parent)
_TESTING = str(Path(kern.__file__).parent / "testing")


class Count:
    """How many instructions were executed while it was counted."""

    def __init__(self) -> None:
        self.instructions = 0

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            if not _is_counted(frame):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.instructions += 1
        return self._trace


def _is_counted(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    if path == "<string>":
        module: str = frame.f_globals.get("__name__", "")
        return module.startswith("kern.") and not module.startswith("kern.testing")
    return path.startswith(_KERN) and not path.startswith(_TESTING)


@contextmanager
def counting() -> Iterator[Count]:
    """Count what kern's code does in this thread, in calls that begin or go on in the block."""
    count, before = Count(), sys.gettrace()
    sys.settrace(count._trace)
    try:
        yield count
    finally:
        sys.settrace(before)
