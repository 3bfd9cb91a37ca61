"""``kern db migrate``, ``status`` and ``prune``: the tables of a database, and what is in them."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any, cast

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database, open_database
from kern.cli.output import AsJson, print_json
from kern.db.database import Database
from kern.db.values import TablesVersion
from kern.run.duration import parse_duration

MIGRATION_DUE, TOO_NEW, DAMAGED = 3, 4, 5


def migrate(
    sql: Annotated[
        bool,
        typer.Option(
            "--sql",
            help="Print the SQL that makes the tables where there are none; change nothing.",
        ),
    ] = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Make the tables, or bring them to this version of kern; harmless when they are."""
    database = open_database(db, table, schema)
    if sql:
        typer.echo(database.migration_sql(), nl=False)
        return

    async def main() -> TablesVersion:
        version = await database.version()
        await database.store()
        return version

    found, known = asyncio.run(main())
    if as_json:
        print_json({"from": found, "to": known})
    elif found is None:
        typer.echo(f"The tables of {database} are made, version {known}")
    elif found == known:
        typer.echo(f"The tables of {database} have version {known} already")
    else:
        typer.echo(f"The tables of {database} are brought from version {found} to {known}")


def prune(
    older_than: Annotated[
        str, typer.Option(help="How long ago the runs must have ended: 12h, 30d, 8w.")
    ],
    dry_run: Annotated[bool, typer.Option(help="Only say how many there are.")] = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Delete runs that have ended, with their events; never one that has not.

    Kept are the runs of a session in which one has not ended, those that have started one that has
    not ended, and for 4 days those whose webhook is still to be delivered.

    kern db prune --older-than 30d
    """
    age = parse_duration("--older-than", older_than)
    count = asyncio.run(_prune(existing_database(db, table, schema), age, dry_run))
    if as_json:
        print_json({"dry_run": dry_run, "runs": count})
        return
    runs = "1 run" if count == 1 else f"{count:,} runs"
    typer.echo(f"{runs} would be deleted" if dry_run else f"{runs} deleted")


async def _prune(database: Database, age: timedelta, dry_run: bool) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from kern.dispatch.maintenance import prune

    store = await database.store()
    retention, before = store.retention, await store.overview.now() - age
    shown = Console(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        looking, count = progress.add_task("Looking", total=None), 0
        async with aclosing(prune(retention, before, deleting=False)) as steps:
            async for runs in steps:
                count += runs
                progress.update(looking, description=f"Looking: {count:,} runs")
        if dry_run:
            return count
        progress.update(looking, visible=False)
        deleting, deleted = progress.add_task("Deleting", total=count), 0
        async with aclosing(prune(retention, before)) as steps:
            async for runs in steps:
                deleted += runs
                progress.update(deleting, completed=deleted)
        return deleted


def show_status(database: Database, as_json: bool) -> None:
    """Print how old the tables are, what is in them, and what of them is broken.

    Raises:
        typer.Exit: a migration is due, the tables are newer than this version of kern, or they
            are damaged.
    """
    values = asyncio.run(_status(database))
    if as_json:
        print_json(values)
    else:
        _show(values)
    if values["tables"] != values["known"]:
        raise typer.Exit(TOO_NEW if values["state"] == "newer" else MIGRATION_DUE)
    if values["damage"]:
        raise typer.Exit(DAMAGED)


async def _status(database: Database) -> dict[str, object]:
    from kern import __version__
    from kern.operations.figures import as_json, course_of
    from kern.operations.fleet import fleet_status

    found, known = await database.version()
    state = "missing" if found is None else "newer" if found > known else "old"
    values: dict[str, object] = {
        "database": str(database),
        "kern": __version__,
        "tables": found,
        "known": known,
        "state": "current" if found == known else state,
        "damage": await database.damage() if found == known else [],
    }
    if found == known and not values["damage"]:
        store = await database.store()
        schedules = await store.schedules.find()
        values["runs"] = (await store.load())._asdict()
        values |= await fleet_status(store)
        values["last_hour"] = as_json(await course_of(store, "1h"))["whole"]
        values["schedules"] = len(schedules)
        values["paused_schedules"] = sum(schedule.paused for schedule in schedules)
    return values


def _hour(hour: dict[str, Any]) -> str:
    """Return what happened in the last hour."""
    from kern.operations.wording import dollars, seconds

    ended = ", ".join(f"{hour[each]:,} {each}" for each in ("completed", "failed", "cancelled"))
    wait, duration = (seconds(hour[f"{each}_p95"]) for each in ("wait", "duration"))
    measured = f"; p95: waited {wait}, took {duration}" if wait else ""
    cost = f"; {dollars(hour['cost'])}" if hour["cost"] else ""
    return f"{hour['submitted']:,} submitted, {ended}{measured}{cost}"


def _show(values: dict[str, object]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.fleet import fleet_rows
    from kern.cli.terminal import console

    said = {
        "current": ("", "green"),
        "missing": (": there are none; make them with kern db migrate", "yellow"),
        "old": (f": version {values['known']} is due; run kern db migrate", "yellow"),
        "newer": (f": newer than {values['known']}, which this kern knows; upgrade kern", "red"),
    }
    what, style = said[str(values["state"])]
    version = "" if values["tables"] is None else f"version {values['tables']}"
    rows = Rows.grid(padding=(0, 2))
    rows.add_row("Database", Text(str(values["database"])))
    rows.add_row("kern", str(values["kern"]))
    rows.add_row("Tables", Text(f"{version}{what}".removeprefix(": "), style))
    for sentence in cast(list[str], values["damage"]):
        rows.add_row("Damage", Text(sentence, "red"))
    runs = values.get("runs")
    if isinstance(runs, dict):
        total = "" if runs["total"] is None else f", about {runs['total']:,} in all"
        rows.add_row(
            "Runs",
            f"{runs['running']:,} running, {runs['due']:,} due, {runs['waiting']:,} waiting for "
            f"another run, {runs['delayed']:,} delayed{total}",
        )
        hour = values["last_hour"]
        if isinstance(hour, dict):
            rows.add_row("Last hour", _hour(hour))
        for name, text in fleet_rows(values):
            rows.add_row(name, text)
        rows.add_row("Schedules", f"{values['schedules']}, {values['paused_schedules']} paused")
    console().print(rows)
