"""``kern runs show``: a run with what has happened in it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from kern.cli.output import print_json
from kern.cli.terminal import cell, console, status_of
from kern.db.database import Database
from kern.errors import RunNotFoundError
from kern.operations.listed import as_json, error_of, given_text, given_to, output_of
from kern.operations.looking import Look, look_at
from kern.operations.timeline import timeline
from kern.operations.wording import age, cost_text, took
from kern.run.base import RunStatus
from kern.run.duration import format_duration
from kern.run.printable import printable
from kern.run.record import JournalRow, RunRecord

# How many characters of the input, the answer and the error are shown.
_MOST = 2000

# How many characters of why nobody executes it, which names what others have written.
_WHY = 1000


async def look_up(database: Database, run_id: str) -> tuple[Look, list[JournalRow]]:
    """Return a run with its input, what there is to say about it, and its journal.

    Raises:
        RunNotFoundError: there is no such run.
    """
    store = await database.store()
    record = await store.get(run_id, with_input=True)
    if record is None:
        raise RunNotFoundError(f"There is no run {run_id!r} in {store}.")
    look = await look_at(store, [record], with_steps=True)
    return look, await store.events(run_id, 0)


def show_json(look: Look, rows: Sequence[JournalRow]) -> None:
    """Print one object: the run with ``step``, ``input``, ``output`` and ``events``."""
    [record] = look.records
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
        **as_json(record, look),
        "step": look.step_json(record.run_id),
        "metrics": output.pop("metrics"),
        "input": [each.to_dict() for each in given_to(record)],
    }
    produced = {name: value for name, value in output.items() if name not in values}
    print_json({**values, "output": produced, "events": events})


def show_run(look: Look, rows: Sequence[JournalRow]) -> None:
    """Print what there is to know about a run, its timeline, and its answer."""
    [record] = look.records
    shown = console()
    shown.print(_facts(record, look))
    if record.status is not RunStatus.paused:  # What it waits for is said above.
        _print_text("Error", error_of(record) or "", "red")
    _print_text("Input", given_text(record))
    shown.print()
    shown.print(_timeline(record, rows))
    _print_text("Answer", output_of(record).get_content_as_string())


def _place(record: RunRecord, look: Look) -> Text:
    executor = next((each for each in look.fleet if each.executor == record.executor), None)
    if executor is None:
        return cell(record.executor)
    return cell(f"{record.executor}, process {executor.pid} on {executor.host}")


def _step(record: RunRecord, look: Look) -> Text:
    step = look.steps.get(record.run_id)
    if step is None:
        return Text()
    return cell(f"{look.step(record.run_id)}, since {step.since.astimezone():%Y-%m-%d %H:%M:%S}")


def _why(record: RunRecord, look: Look) -> Text:
    why = look.whys.get(record.run_id)
    return Text() if why is None else cell(why.text, most=_WHY)


def _facts(record: RunRecord, look: Look) -> Table:
    output = output_of(record)
    metrics = output.metrics
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    accepted = f"{record.created_at.astimezone():%Y-%m-%d %H:%M:%S}, {age(record, look.now)} ago"
    tokens = f"{metrics.input_tokens} in, {metrics.output_tokens} out"
    rows: list[tuple[str, Text | str]] = [
        ("Run", cell(record.run_id)),
        ("Status", status_of(record, look.now)),
        ("Why", _why(record, look)),
        ("Step", _step(record, look)),
        ("Agent", cell(record.agent_id)),
        ("Model", cell(output.model)),
        ("Session", cell(record.session_id)),
        ("User", cell(record.user_id)),
        ("Accepted", accepted),
        ("Took", took(record, look.now)),
        ("Attempt", str(record.attempt)),
        ("Executor", _place(record, look)),
        ("Refused", cell(record.refusal, "yellow")),
        ("Started by", cell(record.parent_run_id)),
        ("Priority", str(record.priority or "")),
        ("Tokens", tokens if metrics.model_calls else ""),
        ("Cost", cost_text(metrics)),
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
        after = format_duration(timedelta(seconds=moment.at - began))
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
