"""``kern runs watch``: follows a run, or all that have not ended, as they go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import datetime

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from kern.cli.runs.following import Following, JsonLines, LiveText, PlainText
from kern.cli.runs.listing import runs_table
from kern.cli.terminal import STYLES, cell, console
from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.dispatch.runtime import Runtime
from kern.errors import DatabaseUnavailableError
from kern.operations.listed import as_json
from kern.operations.looking import Look, look_at
from kern.run.base import RunStatus
from kern.run.printable import printable
from kern.run.record import RunRecord

# The order in which runs are watched: what executes comes first.
_LIVE = (RunStatus.running, RunStatus.pending, RunStatus.paused)

# How often runs are looked at, in seconds.
_OFTEN = 1.0

# How many runs are followed where there is no screen that bounds them.
_FOLLOWED = 1000

# What a terminal shows besides the rows of a table, in lines.
_AROUND = 4


async def watch_run(runtime: Runtime, run_id: str, *, in_json: bool) -> RunStatus:
    """Print what happens in a run until it ends or pauses, and return its status.

    Args:
        runtime: the database.
        run_id: the run.
        in_json: whether to print an object a line.

    Raises:
        RunNotFoundError: there is no such run.
        JournalError: what is stored of it cannot be read.
    """
    shown = console()
    record = await runtime.store.get(run_id)
    began = 0.0 if record is None else record.created_at.timestamp()
    following: Following = JsonLines()
    if not in_json:
        following = (LiveText if shown.is_terminal else PlainText)(shown, began)
    with following:
        looking = asyncio.create_task(_look_on(runtime.store, run_id, following))
        try:
            async with aclosing(runtime.stream(run_id, 0)) as events:
                async for event in events:
                    following.tell(event)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
    record = await runtime.store.get(run_id)
    status = RunStatus.cancelled if record is None else record.status
    if not in_json:
        shown.print(Text(f"{printable(run_id)} is {status}", STYLES[status]))
    return status


async def _look_on(store: Store, run_id: str, following: Following) -> None:
    """Say over and over what a run is doing, or why nobody executes it."""
    while True:
        with suppress(DatabaseUnavailableError):  # The stream waits for it, too.
            record = await store.get(run_id)
            if record is not None:
                following.standing(await look_at(store, [record], with_steps=True), run_id)
        await asyncio.sleep(_OFTEN)


async def watch_all(database: Database, *, in_json: bool) -> None:
    """Show the runs that have not ended, those that execute first, until cancelled.

    Args:
        database: where they are.
        in_json: whether to print an object a line, whenever a run has changed.
    """
    store = await database.store()
    shown = console()
    if in_json or not shown.is_terminal:
        async for record, look in _changes(store):
            if in_json:
                step = look.step_json(record.run_id)
                typer.echo(json.dumps({**as_json(record, look), "step": step}))
            else:
                _print_change(shown, record, look)
    with Live(console=shown, auto_refresh=False, screen=True) as live:
        while True:
            load = await store.load()
            records = await _live(store, max(1, shown.size.height - _AROUND))
            look = await look_at(store, records, with_steps=True)
            head = Text(
                f"{load.running} running, {load.due} due, {load.waiting} waiting for another run, "
                f"{load.delayed} delayed    {datetime.now():%H:%M:%S}    Ctrl-C ends",
                "bold",
            )
            rows = runs_table(look, shown.width) if records else Text("No runs.")
            live.update(Group(head, Text(), rows), refresh=True)
            await asyncio.sleep(_OFTEN)


async def _live(store: Store, limit: int) -> list[RunRecord]:
    """Return runs that have not ended, as many as there is room for."""
    found: list[RunRecord] = []
    for status in _LIVE:
        if len(found) < limit:
            found += await store.find(RunFilter(statuses=(status,)), limit - len(found))
    # One may have moved on meanwhile.
    return [*{each.run_id: each for each in found}.values()]


async def _changes(store: Store) -> AsyncIterator[tuple[RunRecord, Look]]:
    """Yield a run whenever it has come, or moved on, or waits for another reason."""
    known: dict[str, tuple[object, ...]] = {}
    while True:
        records = await _live(store, _FOLLOWED)
        found = {each.run_id for each in records}
        gone = await asyncio.gather(*(store.get(each) for each in known if each not in found))
        told = dict[str, tuple[object, ...]]()
        look = await look_at(store, records, with_steps=True)
        # What executes comes first, and then what was accepted first.
        oldest_first = records[::-1]
        ordered = sorted(oldest_first, key=lambda record: _LIVE.index(record.status))
        for record in [*(each for each in gone if each is not None), *ordered]:
            why, before = look.whys.get(record.run_id), known.get(record.run_id)
            moves_on = why is None and before is not None and record.run_id in found
            reason = before[2] if before is not None and moves_on else why and why.reason
            now = record.status, record.attempt, reason
            if before != now:
                yield record, look
            if record.run_id in found:
                told[record.run_id] = now
        known = told
        await asyncio.sleep(_OFTEN)


def _print_change(shown: Console, record: RunRecord, look: Look) -> None:
    text = look.why(record.run_id)
    shown.print(
        cell(
            f"{datetime.now():%H:%M:%S} {record.run_id} {record.status} "
            f"agent {record.agent_id} attempt {record.attempt}{text and f': {text}'}"
        )
    )
