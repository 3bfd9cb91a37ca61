"""``kern workers``: the processes that execute runs."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.db.database import Database
from kern.db.processes import KEPT, Process
from kern.run.codec import check_id
from kern.run.duration import format_duration

if TYPE_CHECKING:
    from rich.text import Text


def workers(
    agent: Annotated[
        str | None, typer.Option(help="Only those that serve this agent.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show the processes that execute runs, the oldest first.

    They are workers, and programs that execute what they submit. One that ends in good order is
    forgotten; one that has not been seen alive for its heartbeat is shown as gone, for a day.

    kern workers --agent researcher
    """
    if agent is not None:
        check_id("--agent", agent)
    fleet = [
        each
        for each in asyncio.run(_find(existing_database(db, table, schema)))
        if agent is None or agent in each.agents
    ]
    if as_json:
        print_json([_as_json(each) for each in fleet])
    else:
        _show(fleet)


async def _find(database: Database) -> list[Process]:
    return await (await database.store()).processes.find(KEPT)


def _as_json(process: Process) -> dict[str, object]:
    started, beat = process.started_at, process.beat_at
    return {
        "name": process.executor,
        "host": process.host,
        "pid": process.pid,
        "agents": list(process.agents),
        "version": process.version,
        "slots": process.slots,
        "executing": process.executing,
        "alive": process.is_alive,
        "heartbeat": process.heartbeat,
        "started_at": None if started is None else started.isoformat(),
        "last_beat": None if beat is None else beat.isoformat(),
        "seconds_since_beat": round(process.silence, 3),
    }


def _show(fleet: Sequence[Process]) -> None:
    from rich.text import Text

    from kern.cli.terminal import Column, cell, choose, console, table_of

    shown = console()
    if not fleet:
        shown.print("No workers.")
        return
    agents = [cell(", ".join(each.agents)) for each in fleet]
    columns = [
        Column("Worker", [cell(each.executor) for each in fleet]),
        Column("State", [_state(each) for each in fleet]),
        Column("Host", [cell(each.host) for each in fleet], 3),
        Column("PID", [Text(str(each.pid)) for each in fleet], 2, True),
        Column("Executing", [Text(str(each.executing)) for each in fleet], 1, True),
        Column("Slots", [Text(str(each.slots or "")) for each in fleet], 4, True),
        Column("Last beat", [Text(f"{_span(each.silence)} ago") for each in fleet], 5, True),
        Column("Up", [Text(_up(each)) for each in fleet], 7, True),
        Column("Version", [cell(each.version) for each in fleet], 6),
    ]
    least = min(24, max(each.cell_len for each in agents))
    chosen, room = choose(columns, shown.width, least)
    shown.print(table_of(chosen, Column("Agents", agents), shown.width, room))


def _state(process: Process) -> "Text":
    from rich.text import Text

    return Text("alive", "green") if process.is_alive else Text("gone", "bold red")


def _up(process: Process) -> str:
    if process.started_at is None or process.beat_at is None:
        return ""
    return format_duration(process.beat_at - process.started_at)


def _span(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
