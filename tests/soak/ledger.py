"""What happens outside of kern, written down where no kill can reach it.

The ledger is a file that every process appends to, a line in one ``write``. Linux serialises such
writes, so their order in the file is an order of what happened: what ended before something else
began stands above it. A line that was written is with the kernel, whatever becomes of its writer
or of the database. A server of its own could be away; this cannot.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import NamedTuple


class Line(NamedTuple):
    """One thing that happened.

    Attributes:
        number: where it stands in the file, from 1 on.
        at: seconds since the epoch, on the clock that the database goes by as well.
        what: what happened.
        pid: to which process, or in which.
        run: the run, or ``-``.
        turn: the turn of the model in that run, or 0.
        place: the place of the call in that turn.
        attempt: the attempt at the run.
        note: more about it; no spaces.
    """

    number: int
    at: float
    what: str
    pid: int
    run: str
    turn: int
    place: int
    attempt: int
    note: str

    def __str__(self) -> str:
        return (
            f"line {self.number}: {self.at:.3f} {self.what} pid={self.pid} run={self.run} "
            f"turn={self.turn} place={self.place} attempt={self.attempt} {self.note}"
        )


class Ledger:
    """The file, open to append to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(
        self,
        what: str,
        *,
        pid: int | None = None,
        run: str = "-",
        turn: int = 0,
        place: int = 0,
        attempt: int = 0,
        note: str = "-",
    ) -> None:
        """Append a line; by default about this process."""
        fields = (what, pid or os.getpid(), run, turn, place, attempt, note)
        line = " ".join(map(str, (f"{time.time():.6f}", *fields)))
        os.write(self._file, line.encode() + b"\n")


def read_ledger(path: Path) -> Iterator[Line]:
    """Yield the lines in their order."""
    with path.open() as file:
        for number, text in enumerate(file, start=1):
            at, what, pid, run, turn, place, attempt, note = text.split()
            yield Line(
                number,
                float(at),
                intern(what),
                int(pid),
                intern(run),
                int(turn),
                int(place),
                int(attempt),
                intern(note),
            )
