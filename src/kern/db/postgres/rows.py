"""Between the rows of PostgreSQL and kern's records."""

from collections.abc import Sequence
from operator import attrgetter

import asyncpg

from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement
from kern.run.state import changes_of, stored_key

_accepted = attrgetter(
    *("run_id", "session_id", "agent_id", "user_id", "input", "metadata", "parent_run_id"),
    *("streamed", "cancelled", "lease", "ordered", "priority", "run_at", "timeout"),
    *("max_attempts", "webhook", "executor", "traceparent", "journal_version"),
    *("usage_limits", "output_schema", "lineage", "foreground", "unstored"),
    "session_type",
)

_written = attrgetter("run_id", "seq", "event", "type", "skippable", "payload")

_used = attrgetter("cost", "tokens")

_settled = attrgetter(
    *("run_id", "attempt", "status", "output", "error", "usage", "fold_before"),
    *("error_kind", "model", "requirements", "expires_at"),
)

_NOT_OF_THE_RECORD = {
    *("due_run_id", "known_id", "is_newer", "unfinished", "holder", "notified"),
}


def accepted_columns(runs: Sequence[NewRun]) -> list[tuple[object, ...]]:
    """Return what the statements that accept runs take, an array for each column."""
    return list(zip(*map(_accepted, runs), strict=True))


def settled_columns(settlements: Sequence[Settlement]) -> list[tuple[object, ...]]:
    """Return what the statement that settles runs takes, an array for each column."""
    return list(zip(*map(_settled, settlements), strict=True))


def columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Return an array for each column of the rows."""
    return [*map(list, zip(*rows, strict=True))] or [[] for _ in range(width)]


def journal_columns(rows: Sequence[tuple[int, JournalRow]]) -> list[list[object]]:
    """Return an array for each column of rows that attempts write to journals."""
    attempts, run_ids, *others = columns([(attempt, *_written(row)) for attempt, row in rows], 7)
    return [run_ids, attempts, *others]


def used_columns(rows: Sequence[JournalRow]) -> list[list[object]]:
    """Return an array for each column of what rows have used of budgets."""
    return columns([_used(row) for row in rows], 2)


def change_columns(rows: Sequence[tuple[int, JournalRow]]) -> list[list[object]]:
    """Return an array for each column of what rows of attempts change in states."""
    return columns(
        [
            (row.run_id, attempt, row.seq, *change)
            for attempt, row in rows
            if row.state is not None
            for change in changes_of(row.state)
        ],
        6,
    )


def are_charged(rows: Sequence[tuple[int, JournalRow]]) -> bool:
    """Say whether any of the rows that attempts write has used something of a budget."""
    return any(row.cost or row.tokens for _, row in rows)


def lost_keys(row: asyncpg.Record) -> tuple[str, ...]:
    """Return which keys of a state were changed in vain, by the answer of a statement."""
    return tuple(map(stored_key, row.get("lost") or ()))


def record(row: asyncpg.Record) -> RunRecord:
    """Return a run as it was read."""
    values = dict(row)
    for column in _NOT_OF_THE_RECORD.intersection(values):
        del values[column]
    values["status"] = RunStatus(values["status"])
    return RunRecord(**values)
