"""``kern runs list``: runs as a table, or as JSON."""

import json

import typer
from msgspec.structs import replace
from rich.table import Table
from rich.text import Text

from kern.cli.runs.looking import Look
from kern.cli.terminal import (
    Column,
    age,
    cell,
    choose,
    console,
    first_words,
    status_of,
    table_of,
    took,
)
from kern.errors import JournalError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import decode_object
from kern.run.record import RunRecord

# How many characters of an input or error are shown at most.
_LONGEST = 100

# For how many of an input or error, and of an explanation, there is room before there is a column
# more.
_TOLD, _EXPLAINED = 24, 48


def show_json(look: Look) -> None:
    """Print one array with an object a run."""
    typer.echo(json.dumps([as_json(record, look) for record in look.records], indent=2))


def show_table(look: Look, limit: int) -> None:
    """Print a row a run."""
    shown = console()
    if not look.records:
        shown.print("No runs.")
        return
    shown.print(runs_table(look, shown.width))
    if len(look.records) == limit and shown.is_terminal:
        shown.print(cell(f"More: --before {look.records[-1].run_id}", "dim"))


def runs_table(look: Look, width: int) -> Table:
    """Return a row a run, with the columns for which there is room.

    Args:
        look: the runs, at least one.
        width: how many characters there are in a line.
    """
    records, now = look.records, look.now
    whys = [cell(look.why(each.run_id)) for each in records]
    told = [_told(record) for record in records]
    columns = [
        Column("Run", [cell(each.run_id) for each in records]),
        Column("Status", [status_of(each, now) for each in records]),
        Column("Agent", [cell(each.agent_id) for each in records], 2),
        Column("Session", [cell(each.session_id) for each in records], 5),
        Column("User", [cell(each.user_id) for each in records], 7),
        Column("Attempt", [Text(str(each.attempt)) for each in records], 6, True),
        Column("Priority", [Text(str(each.priority or "")) for each in records], 8, True),
        Column("Age", [Text(age(each, now)) for each in records], 1, True),
        Column("Took", [Text(took(each, now)) for each in records], 4, True),
        Column("Why", whys, 3, share=2),
    ]
    least = min(_EXPLAINED, max(each.cell_len for each in whys))
    least = max(least, min(_TOLD, max(each.cell_len for each in told)))
    chosen, room = choose(columns, width, least)
    name = "Input or error"
    if not any(each.name == "Why" for each in chosen) and any(whys):
        name = "Input, error or why"
        told = [why or text for why, text in zip(whys, told, strict=True)]
    return table_of(chosen, Column(name, told), width, room)


def _told(record: RunRecord) -> Text:
    if record.error is None or record.status is RunStatus.paused:  # That is why it waits.
        return cell(first_words(record), most=_LONGEST)
    return cell(error_of(record), "red", _LONGEST)


def output_of(record: RunRecord) -> RunOutput:
    """Return a run, without what is stored of it where that is damaged."""
    try:
        return RunOutput.from_record(record)
    except JournalError:
        bare = replace(
            record, output=None, error=None, metadata=None, usage=None, requirements=None
        )
        return RunOutput.from_record(bare)


def error_of(record: RunRecord) -> str | None:
    """Return what went wrong with a run."""
    try:
        error = decode_object(record.error).get("message")
    except ValueError:
        return record.error
    return None if error is None else str(error)


def as_json(record: RunRecord, look: Look) -> dict[str, object]:
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
        "why": look.why_json(record.run_id),
        "parent_run_id": record.parent_run_id,
        "priority": record.priority,
        **moments,
        "input": first_words(record),
        "error": error_of(record),
        "metadata": output.metadata,
        "metrics": output.metrics.to_dict(),
    }
