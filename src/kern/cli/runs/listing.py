"""``kern runs list``: runs as a table, or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import typer
from rich.table import Table
from rich.text import Text

from kern.cli.terminal import age, cell, console, first_words, status_of, took
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import decode_object
from kern.run.duration import parse_duration
from kern.run.record import RunRecord

_ORDER = ("Run", "Status", "Agent", "Session", "User", "Attempt", "Priority", "Age", "Took")
_NUMBERS = ("Attempt", "Priority", "Age", "Took")

# How many characters of an input or error are shown at most, and for how many there is room
# before there is a column more.
_LONGEST, _TOLD = 100, 24

# The columns are that far apart.
_GAP = 2


async def find(
    database: Database,
    agent: str | None,
    statuses: tuple[RunStatus, ...],
    session: str | None,
    user: str | None,
    *,
    since: str | None,
    before: str | None,
    limit: int,
) -> list[RunRecord]:
    """Return the runs that the options name.

    Raises:
        RunNotFoundError: there is no run ``before``.
    """
    moment = None if since is None else datetime.now(UTC) - parse_duration("--since", since)
    store = await database.store()
    return await store.page(RunFilter(agent, statuses, session, user, moment), limit, before)


def show_json(records: Sequence[RunRecord]) -> None:
    """Print one array with an object a run."""
    typer.echo(json.dumps([as_json(record) for record in records], indent=2))


def show_table(records: Sequence[RunRecord], limit: int) -> None:
    """Print a row a run."""
    shown = console()
    if not records:
        shown.print("No runs.")
        return
    shown.print(table_of(records, shown.width))
    if len(records) == limit and shown.is_terminal:
        shown.print(cell(f"More: --before {records[-1].run_id}", "dim"))


def table_of(records: Sequence[RunRecord], width: int) -> Table:
    """Return a row a run, with the columns for which there is room.

    Args:
        records: the runs, at least one.
        width: how many characters there are in a line.
    """
    told = [_told(record) for record in records]
    shown = {
        "Run": [cell(each.run_id) for each in records],
        "Status": [status_of(each) for each in records],
    }
    widest = {"Run": width, **dict.fromkeys(_ORDER[1:], width // 5)}

    def needs(name: str, texts: Sequence[Text]) -> int:
        natural = max(len(name), *(each.cell_len for each in texts))
        return min(widest[name], natural) + _GAP

    room = width - sum(map(needs, shown, shown.values()))
    least = min(_TOLD, max(map(len, told)))
    # From the one that would be missed most to the one that would be missed least.
    for name, texts in {
        "Age": [Text(age(each)) for each in records],
        "Agent": [cell(each.agent_id) for each in records],
        "Took": [Text(took(each)) for each in records],
        "Session": [cell(each.session_id) for each in records],
        "Attempt": [Text(str(each.attempt)) for each in records],
        "User": [cell(each.user_id) for each in records],
        "Priority": [Text(str(each.priority or "")) for each in records],
    }.items():
        if any(texts) and room - needs(name, texts) >= least:
            shown[name] = texts
            room -= needs(name, texts)
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for name in (order := [name for name in _ORDER if name in shown]):
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        rows.add_column(name, no_wrap=True, justify=justify, max_width=widest[name])
    rows.add_column("Input or error", no_wrap=True, max_width=max(1, room))
    for number, text in enumerate(told):
        rows.add_row(*(shown[name][number] for name in order), text)
    return rows


def _told(record: RunRecord) -> Text:
    if record.error is None:
        return cell(first_words(record), most=_LONGEST)
    return cell(error_of(record), "red", _LONGEST)


def output_of(record: RunRecord) -> RunOutput:
    """Return a run, without what is stored of it where that is damaged."""
    try:
        return RunOutput.from_record(record)
    except ValueError:
        bare = replace(record, output=None, error=None, metadata=None, usage=None)
        return RunOutput.from_record(bare)


def error_of(record: RunRecord) -> str | None:
    """Return what went wrong with a run."""
    try:
        error = decode_object(record.error).get("message")
    except ValueError:
        return record.error
    return None if error is None else str(error)


def as_json(record: RunRecord) -> dict[str, object]:
    """Return a listed run as JSON values, moments as ISO 8601."""
    output = output_of(record)
    moments = {
        name: None if moment is None else moment.isoformat()
        for name, moment in (
            ("run_at", record.run_at),
            ("created_at", record.created_at),
            ("started_at", record.started_at),
            ("finished_at", record.finished_at),
        )
    }
    return {
        "run_id": record.run_id,
        "agent_id": record.agent_id,
        "session_id": record.session_id,
        "user_id": record.user_id,
        "status": record.status.value,
        "waiting": record.waiting,
        "attempt": record.attempt,
        "executor": record.executor,
        "refusal": record.refusal,
        "parent_run_id": record.parent_run_id,
        "priority": record.priority,
        **moments,
        "input": first_words(record),
        "error": error_of(record),
        "metadata": output.metadata,
        "metrics": output.metrics.to_dict(),
    }
