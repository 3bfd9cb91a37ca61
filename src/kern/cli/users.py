"""``kern users``: exports what belongs to a user, and erases it."""

import asyncio
import json
from contextlib import aclosing
from typing import Annotated

import typer

from kern.cli.asking import Yes, is_confirmed
from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.db.database import Database
from kern.run.codec import check_id
from kern.run.printable import printable

app = typer.Typer(help="What belongs to a user: export it, erase it.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="The user_id.", show_default=False)]


@app.command()
def export(user: User, db: Url = None, table: Table = TABLE, schema: Schema = SCHEMA) -> None:
    """Print everything that belongs to a user, a JSON object a line.

    kern users export alice
    """
    user_id = check_id("USER", user)
    asyncio.run(_export(existing_database(db, table, schema), user_id))


@app.command()
def erase(
    user: User,
    timeout: Annotated[
        float, typer.Option(min=0, help="How many seconds to wait for running runs to stop.")
    ] = 60.0,
    yes: Yes = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Cancel a user's runs, and delete everything that belongs to the user.

    kern users erase alice
    """
    user_id = check_id("USER", user)
    database = existing_database(db, table, schema)
    shown = printable(user_id)
    if not (yes or is_confirmed(f"Cancel the runs of {shown}, and delete everything of {shown}?")):
        raise typer.Exit(1)
    erased = asyncio.run(database.adelete_user(user_id, timeout=timeout))
    if as_json:
        print_json({"user_id": user_id, "erased": erased._asdict()})
        return
    counted = ", ".join(f"{name}: {count:,}" for name, count in erased._asdict().items())
    typer.echo(f"{shown} is erased ({counted})")


async def _export(database: Database, user_id: str) -> None:
    async with aclosing(database.aexport_user(user_id)) as rows:
        async for row in rows:
            typer.echo(json.dumps(row))
