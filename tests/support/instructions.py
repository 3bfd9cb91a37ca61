"""Counts the bytecode instructions that kern's own code executes: the same on every machine."""

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
            path = frame.f_code.co_filename
            if not path.startswith(_KERN) or path.startswith(_TESTING):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.instructions += 1
        return self._trace


@contextmanager
def counting() -> Iterator[Count]:
    """Count what kern's code does in this thread, in calls that begin or go on in the block."""
    count, before = Count(), sys.gettrace()
    sys.settrace(count._trace)
    try:
        yield count
    finally:
        sys.settrace(before)
