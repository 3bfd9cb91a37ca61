"""Between the rows of PostgreSQL and kern's records."""

from collections.abc import Sequence
from operator import attrgetter

import asyncpg

from kern.run.base import RunStatus
from kern.run.record import JournalRow, NewRun, RunRecord

_accepted = attrgetter(
    *("run_id", "session_id", "agent_id", "user_id", "input", "metadata", "parent_run_id"),
    *("streamed", "cancelled", "lease", "ordered", "priority", "run_at", "timeout"),
    *("max_attempts", "webhook", "executor", "traceparent", "journal_version"),
    "usage_limits",
)

_NOT_OF_THE_RECORD = {
    *("due_run_id", "known_id", "is_newer", "unfinished", "holder", "notified"),
}


def accepted_columns(runs: Sequence[NewRun]) -> list[tuple[object, ...]]:
    """Return what the statements that accept runs take, an array for each column."""
    return list(zip(*map(_accepted, runs), strict=True))


def columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    """Return an array for each column of the rows."""
    return [[row[column] for row in rows] for column in range(width)]


def journal_columns(rows: Sequence[tuple[int, JournalRow]]) -> list[list[object]]:
    """Return an array for each column of rows that attempts write to journals."""
    return columns(
        [
            (row.run_id, attempt, row.seq, row.event, row.type, row.skippable, row.payload)
            for attempt, row in rows
        ],
        7,
    )


def record(row: asyncpg.Record) -> RunRecord:
    """Return a run as it was read."""
    values = dict(row)
    for column in _NOT_OF_THE_RECORD.intersection(values):
        del values[column]
    values["status"] = RunStatus(values["status"])
    return RunRecord(**values)
