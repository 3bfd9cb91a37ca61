"""``kern components``: shows the agents and teams that are saved in a database."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.run.codec import check_id
from kern.run.printable import printable

app = typer.Typer(help="Agents and teams that are saved in the database.", no_args_is_help=True)


@app.command(name="list")
def list_components(
    component: Annotated[
        str | None,
        typer.Argument(help="An agent or a team: its versions are shown.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show what is saved, each by its current version; or all versions of one.

    kern components list shop --db sqlite:///kern.db
    """
    database = existing_database(db, table, schema)
    if component is None:
        found, total = asyncio.run(database.alist_components(limit=_MOST))
    else:
        found = asyncio.run(database.alist_configs(check_id("COMPONENT", component)))
        total = len(found)
    if as_json:
        print_json([_as_json(each) for each in found])
        return
    _show(found)
    if total > len(found):
        typer.echo(f"{total - len(found)} more are not shown.", err=True)


_MOST = 1000


def _as_json(version: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in version.items()
    }


def _show(found: Sequence[Mapping[str, object]]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import cell, console

    if not found:
        console().print("Nothing is saved.")
        return
    rows = Rows("Id", "Type", "Version", "Stage", "Label", "Saved (UTC)", "Notes", box=None)
    for each in found:
        current = ", current" if each["is_current"] else ""
        rows.add_row(
            cell(printable(str(each["component_id"]))),
            str(each["component_type"]),
            Text(str(each["version"])),
            f"{each['stage']}{current}",
            cell(printable(str(each["label"] or ""))),
            f"{each['created_at']:%Y-%m-%d %H:%M}",
            cell(printable(str(each["notes"] or ""))),
        )
    console().print(rows)
