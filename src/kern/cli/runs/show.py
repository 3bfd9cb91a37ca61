"""``kern runs show``: a run with what has happened in it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import typer
from rich.table import Table
from rich.text import Text

from kern.cli.runs.listing import as_json, error_of, output_of
from kern.cli.runs.timeline import timeline
from kern.cli.terminal import age, cell, console, span, status_of, took
from kern.db.database import Database
from kern.db.processes import Process
from kern.errors import RunNotFoundError
from kern.run.agent import RunInput
from kern.run.message import Message
from kern.run.printable import printable
from kern.run.record import JournalRow, RunRecord

# Within how many seconds a process must have been seen alive: more than a usual heartbeat.
_ALIVE = 60.0

# How many characters of the input, the answer and the error are shown.
_MOST = 2000


async def look_up(
    database: Database, run_id: str
) -> tuple[RunRecord, list[JournalRow], Process | None]:
    """Return a run with its input, its journal, and the process that executes it, if one does.

    Raises:
        RunNotFoundError: there is no such run.
    """
    store = await database.store()
    record = await store.get(run_id, with_input=True)
    if record is None:
        raise RunNotFoundError(f"There is no run {run_id!r} in {store}.")
    living = await store.processes.find(_ALIVE) if record.executor else []
    executor = next((each for each in living if each.executor == record.executor), None)
    return record, await store.events(run_id, 0), executor


def show_json(record: RunRecord, rows: Sequence[JournalRow]) -> None:
    """Print one object: the run with ``input``, ``output`` and ``events``."""
    events = [
        {
            "seq": moment.seq,
            "event": moment.kind,
            "created_at": datetime.fromtimestamp(moment.at, UTC).isoformat(),
            "payload": moment.payload,
        }
        for moment in timeline(record, rows)
    ]
    output = output_of(record).to_dict()
    values = {
        **as_json(record),
        "metrics": output.pop("metrics"),
        "input": [each.to_dict() for each in _given(record)],
    }
    produced = {name: value for name, value in output.items() if name not in values}
    typer.echo(json.dumps({**values, "output": produced, "events": events}, indent=2))


def show_run(record: RunRecord, rows: Sequence[JournalRow], executor: Process | None) -> None:
    """Print what there is to know about a run, its timeline, and its answer."""
    shown = console()
    shown.print(_facts(record, executor))
    _print_text("Error", error_of(record) or "", "red")
    _print_text("Input", "\n\n".join(each.text for each in _given(record)))
    shown.print()
    shown.print(_timeline(record, rows))
    _print_text("Answer", output_of(record).content or "")


def _given(record: RunRecord) -> Sequence[Message]:
    """Return the input of a run, or nothing where that is damaged."""
    try:
        return RunInput.from_json(record.input or "").messages
    except ValueError:
        return []


def _place(record: RunRecord, executor: Process | None) -> Text:
    if executor is None:
        return cell(record.executor)
    return cell(f"{record.executor}, process {executor.pid} on {executor.host}")


def _facts(record: RunRecord, executor: Process | None) -> Table:
    output = output_of(record)
    metrics = output.metrics
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    accepted = f"{record.created_at.astimezone():%Y-%m-%d %H:%M:%S}, {age(record)} ago"
    tokens = f"{metrics.input_tokens} in, {metrics.output_tokens} out"
    rows: list[tuple[str, Text | str]] = [
        ("Run", cell(record.run_id)),
        ("Status", status_of(record)),
        ("Agent", cell(record.agent_id)),
        ("Model", cell(output.model)),
        ("Session", cell(record.session_id)),
        ("User", cell(record.user_id)),
        ("Accepted", accepted),
        ("Took", took(record)),
        ("Attempt", str(record.attempt)),
        ("Executor", _place(record, executor)),
        ("Refused", cell(record.refusal, "yellow")),
        ("Started by", cell(record.parent_run_id)),
        ("Priority", str(record.priority or "")),
        ("Tokens", tokens if metrics.model_calls else ""),
        ("Metadata", cell(json.dumps(output.metadata) if output.metadata else "")),
    ]
    for name, value in rows:
        if value:
            facts.add_row(name, value)
    return facts


def _timeline(record: RunRecord, rows: Sequence[JournalRow]) -> Table:
    began = record.created_at.timestamp()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Seq", "After"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Event", no_wrap=True)
    table.add_column("Detail")
    for moment in timeline(record, rows):
        style = "red" if moment.failed else ""
        after = span(timedelta(seconds=moment.at - began))
        detail = cell(moment.detail, style)
        table.add_row(str(moment.seq), after, cell(moment.kind, style), detail)
    return table


def _print_text(title: str, text: str, style: str = "") -> None:
    if not text:
        return
    shown = console()
    shown.print()
    shown.print(Text(title, "bold"))
    shown.print(Text(printable(text[:_MOST]), style), soft_wrap=True)
    if len(text) > _MOST:
        shown.print(Text(f"… {len(text):,} characters; --json shows them all", "dim"))
