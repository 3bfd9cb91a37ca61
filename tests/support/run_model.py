"""What is promised of a run, in memory and in short, to hold the databases against."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kern.db.values import LOST_ATTEMPTS
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR = RunStatus.paused, RunStatus.error

ASKED, PIECE, WHOLE, DONE = "CallBegun", "TextSlice", "ModelAnswered", "ToolEnded"
PIECES = (ASKED, PIECE)


class Happened(NamedTuple):
    """A row of a journal, but for when it was written."""

    seq: int
    type: str
    payload: str


@dataclass
class Model:
    """What is promised of a run; without a status it is not known yet."""

    user_id: str | None = None
    parent: "Model | None" = None
    status: RunStatus | None = None
    ordered: bool = False
    fresh: bool = True
    failures: int = 0
    pending_cancel: bool = False
    input: str | None = None
    attempt: int = 0
    cancelled: bool = False
    alive: bool = False
    counted: bool = False
    # Whether its last claim has found a limit reached.
    limited: bool = False
    output: str | None = None
    end: RunRecord | None = None
    journal: list[Happened] = field(default_factory=list)
    # The attempts at whose end a webhook is sent.
    webhooks: list[int] = field(default_factory=list)
    # By attempt, what it has sent, written or not, and the last number before that.
    began_after: dict[int, int] = field(default_factory=dict)
    sent: dict[int, list[Happened]] = field(default_factory=dict)
    # By number, the rows that a process has seen.
    seen: dict[int, JournalRow] = field(default_factory=dict)

    @property
    def stops(self) -> bool:
        """Whether its executor is asked to stop it."""
        return self.status is RUNNING and self.cancelled

    @property
    def began(self) -> bool:
        """Whether it stands in the way of those who come after it in its session."""
        return self.status in (RUNNING, PAUSED)

    @property
    def live(self) -> bool:
        """Whether it is known and has not ended."""
        return self.status is not None and not self.status.is_terminal

    @property
    def is_counted(self) -> bool:
        """Whether it counts towards the limits now."""
        return self.status is RUNNING and self.counted

    @property
    def is_orphan(self) -> bool:
        """Whether its parent was cancelled."""
        parent = self.parent
        return parent is not None and (
            parent.status is CANCELLED or parent.cancelled or parent.pending_cancel
        )

    @property
    def last_seq(self) -> int:
        """The number of its journal's last row."""
        return self.journal[-1].seq if self.journal else 0

    def is_newest(self, attempt: int) -> bool:
        """Whether an attempt may write."""
        return self.status is RUNNING and self.attempt == attempt

    def become(self, status: RunStatus) -> RunStatus:
        """Have a status, and send a webhook if it is an end or a pause."""
        self.status = status
        if status.is_terminal or status is PAUSED:
            self.webhooks.append(self.attempt)
        return status

    def submit(
        self, input: str, cancelled: bool, lease: float | None, ordered: bool = False
    ) -> RunStatus | None:
        """Accept it, unless its id is in use."""
        if self.status is not None:
            return None
        self.input, self.ordered = input, ordered
        if cancelled or self.pending_cancel or self.is_orphan:
            return self.become(CANCELLED)
        if lease is None:
            return self.become(PENDING)
        self.attempt, self.alive, self.counted = 1, lease > 0, False
        return self.become(RUNNING)

    def next_rows(self, attempt: int, types: Sequence[str]) -> list[Happened]:
        """Number what an attempt sends as it counts, whatever others have written meanwhile."""
        sent = self.sent.setdefault(attempt, [])
        last = sent[-1].seq if sent else self.began_after.setdefault(attempt, self.last_seq)
        rows = [
            Happened(seq, type, f'{{"from":{attempt}}}') for seq, type in enumerate(types, last + 1)
        ]
        sent += rows
        return rows

    def append(self, attempt: int, rows: Sequence[Happened]) -> bool:
        """Write rows, but those only that are not there yet."""
        if not self.is_newest(attempt):
            return False
        self.journal += [row for row in rows if row.seq > self.last_seq]
        return True

    def fold(self, before: int) -> None:
        """Drop the pieces of texts that are there as a whole."""
        self.journal = [row for row in self.journal if row.type not in PIECES or row.seq >= before]

    def resume(self, status: RunStatus, attempt: int, added: Sequence[Happened]) -> bool:
        """Have it go on."""
        if self.status is not status or self.attempt != attempt:
            return False
        self.status, self.end, self.failures = PENDING, None, 0
        self.journal += added
        return True

    def fork(self, origin: "Model", seq: int) -> bool:
        """Begin as another run did."""
        if self.submit(origin.input or "", False, None) is None:
            return False
        self.journal = [row for row in origin.journal if row.seq <= seq and row.type not in PIECES]
        return True

    def claim(self, lease: float, counted: bool = False) -> tuple[RunStatus, int, int] | None:
        """Begin the next attempt."""
        if self.status is not PENDING:
            return None
        self.attempt += 1
        self.fresh = self.limited = False
        self.alive, self.counted = lease > 0, counted
        self.began_after[self.attempt] = self.last_seq
        return self.become(CANCELLED if self.is_orphan else RUNNING), self.attempt, self.last_seq

    def sweep(self) -> bool:
        """Give an expired attempt up; say whether there was one."""
        if self.status is not RUNNING or self.alive:
            return False
        self.failures += 1
        if self.cancelled:
            self.become(CANCELLED)
        else:
            self.become(ERROR if self.failures >= LOST_ATTEMPTS else PENDING)
        return True

    def extend(self, attempt: int, lease: float) -> bool:
        """Protect an attempt, or have its protection expire."""
        if not self.is_newest(attempt):
            return False
        self.alive = lease > 0
        return True

    def settle(self, attempt: int, status: RunStatus, output: str) -> RunStatus | None:
        """End it."""
        if not self.is_newest(attempt):
            return None
        self.output = output
        return self.become(CANCELLED if self.cancelled else status)

    def give_up(self, attempt: int, status: RunStatus = PENDING) -> RunStatus | None:
        """Release it, or end it."""
        if not self.is_newest(attempt):
            return None
        return self.become(CANCELLED if self.cancelled else status)

    def postpone(self, attempt: int) -> RunStatus | None:
        """Have it tried again."""
        self.failures += self.is_newest(attempt)
        return self.give_up(attempt)

    def cancel(self) -> bool:
        """Ask for its end."""
        if not self.live:
            self.pending_cancel = self.pending_cancel or self.status is None
            return False
        self.cancelled = True
        if not (self.status is RUNNING and self.alive):
            self.attempt += 1
            self.become(CANCELLED)
        return True
