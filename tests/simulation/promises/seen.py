"""What has been seen of the runs in a world: their rows, and what happened to them beside these."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from kern.run.event import RunOutputEvent

if TYPE_CHECKING:
    from tests.simulation.world import Process, World


class BreachError(Exception):
    """A promise was broken."""


@dataclass(slots=True)
class Row:
    """A run as the store has it."""

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    parent_run_id: str | None
    position: int
    status: str
    attempt: int
    failures: int
    ordered: bool
    counted: bool
    run_at: float | None
    output: str | None
    error: str | None
    timeout: float | None
    created_at: float
    started_at: float | None
    requirements: str | None
    journal_version: int
    cancel_requested_at: float | None
    webhook: str | None

    @property
    def cancelling(self) -> bool:
        """Whether its cancel is stored."""
        return self.cancel_requested_at is not None

    @property
    def has_ended(self) -> bool:
        """Whether its status is terminal."""
        return self.status in ("COMPLETED", "ERROR", "CANCELLED")


_ROWS = (
    f"SELECT {', '.join(each.name for each in fields(Row))} "
    "FROM kern_sessions_runs WHERE session_id IS NOT NULL ORDER BY position"
)


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a run in a process."""

    process: "Process"
    run_id: str
    kind: str
    since: float


@dataclass(slots=True)
class Known:
    """What the world has seen of a run beside its row.

    Attributes:
        accepted: whether somebody was told that it was accepted.
        cancelled_at: when somebody was told that it ends cancelled, or is not known yet.
        may_be_cancelled: whether anything has happened for which it may end cancelled.
        foreground: whether it belongs to a caller who may leave.
        resumed: how often it was asked to go on after an end.
        ended_at: when it ended, or paused.
        model_calls: how often the model was called for it.
        holder: the process that has begun its newest attempt.
        results: what its tool calls have returned, by idempotency key, as for the next four.
        notes: what persons have given for them.
        begun: the attempts in which they were made.
        allowed: how often persons have allowed them.
        refused: the attempt after which they may not be made any more.
        told: what readers of its stream were told, by the events' numbers.
    """

    accepted: bool = False
    cancelled_at: float | None = None
    may_be_cancelled: bool = False
    foreground: bool = False
    resumed: int = 0
    ended_at: float | None = None
    model_calls: int = 0
    holder: "Process | None" = None
    results: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    notes: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    begun: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    allowed: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)
    told: dict[int, RunOutputEvent] = field(default_factory=dict)


class Seen:
    """What all promises look at.

    Attributes:
        world: the world.
        rows: the runs as they were stored last, by id.
        known: what else has happened to them, by id.
        waiters: those who wait for a run.
        interrupting: the sessions whose runs may end for a new one.
        broken: the first promise that was broken.
    """

    def __init__(self, world: "World") -> None:
        """Know of nothing yet."""
        self.world = world
        self.rows: dict[str, Row] = {}
        self.known: defaultdict[str, Known] = defaultdict(Known)
        self.waiters: list[Waiter] = []
        self.interrupting: set[str] = set()
        self.broken: str | None = None

    def breach(self, text: str) -> None:
        """Remember that a promise was broken; the world ends after this step."""
        if self.broken is None:
            self.world.write(f"BREACH: {text}")
            self.broken = text

    def look(self) -> dict[str, Row]:
        """Read the rows anew, and return what they were before."""
        before = self.rows
        self.rows = {row["run_id"]: Row(*row) for row in self.world.rows(_ROWS)}
        return before

    def ancestors(self, row: Row) -> Iterator[Row]:
        """Yield the runs whose calls have led to a run."""
        while (above := self.rows.get(row.parent_run_id or "")) is not None:
            yield above
            row = above
