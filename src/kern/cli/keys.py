"""``kern keys``: makes API keys for the HTTP service, lists and revokes them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.db.keys import Key
from kern.errors import ConfigurationError
from kern.run.budget import Budget
from kern.run.codec import check_id
from kern.run.duration import parse_duration
from kern.run.printable import printable

app = typer.Typer(help="API keys for the HTTP service.", no_args_is_help=True)


@app.command()
def create(
    user: Annotated[str, typer.Option(help="On whose behalf its holder acts.")],
    name: Annotated[str | None, typer.Option(help="What it is for.", show_default=False)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it allows: runs, approve, read:all, admin, metrics; several times for "
            "several. By default runs.",
            show_default=False,
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help="An agent that it opens; several times for several. By default all.",
            show_default=False,
        ),
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(help="For how long: 12h, 30d, 8w. By default for good.", show_default=False),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="US dollars that the user may use per month.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Make a key. It is printed once, as the last word, and cannot be read again.

    kern keys create --user alice --scope runs --scope approve --expires-in 90d
    """
    span = None if expires_in is None else parse_duration("--expires-in", expires_in)
    if span is not None and not span:
        raise ConfigurationError("--expires-in must be longer than nothing, such as 30d.")
    allowed = None if budget is None else Budget(user, "month", budget)
    database = existing_database(db, table, schema)

    async def main() -> tuple[Key, str]:
        made = await database.acreate_key(
            user, name=name, scopes=scope or ("runs",), agents=agent or None, expires_in=span
        )
        if allowed is not None:
            await database.aset_budget(allowed)
        return made

    key, secret = asyncio.run(main())
    if as_json:
        print_json(_as_json(key) | {"key": secret})
        return
    limit = "" if budget is None else f" {printable(user)} may use ${budget:,g} per month."
    typer.echo(
        f"The key {key.key_id} acts for {printable(user)} ({_allows(key)}).{limit} "
        f"It is shown only now:\n{secret}"
    )


@app.command(name="list")
def list_keys(
    user: Annotated[
        str | None, typer.Option(help="Only those of this user.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show keys, the last made first, also those that are revoked or expired."""
    if user is not None:
        check_id("--user", user)
    found = asyncio.run(existing_database(db, table, schema).alist_keys(user))
    if as_json:
        print_json([_as_json(each) for each in found])
    else:
        _show(found)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The id of the key.", show_default=False)],
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Have a key open nothing from now on.

    kern keys revoke KEY
    """
    check_id("KEY", key)
    if not asyncio.run(existing_database(db, table, schema).arevoke_key(key)):
        typer.echo(f"There is no key {printable(key)} that is not revoked.", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json({"key_id": key, "revoked": True})
    else:
        typer.echo(f"The key {printable(key)} is revoked")


def _allows(key: Key) -> str:
    agents = "all agents" if key.agents is None else ", ".join(map(printable, key.agents))
    until = "" if key.expires_at is None else f"; until {key.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"{', '.join(key.scopes)}; {agents}{until}"


def _as_json(key: Key) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in key._asdict().items()
    }


def _show(found: Sequence[Key]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import cell, console

    if not found:
        console().print("No keys.")
        return
    now = datetime.now(UTC)
    rows = Rows("Key", "User", "Name", "Allows", "Last used (UTC)", "State", box=None)
    for each in found:
        used = "never" if each.last_used_at is None else f"{each.last_used_at:%Y-%m-%d %H:%M}"
        state = "revoked" if each.revoked_at else "valid" if each.opens_at(now) else "expired"
        rows.add_row(
            Text(each.key_id, no_wrap=True),
            cell(printable(each.user_id)),
            cell(printable(each.name or "")),
            cell(_allows(each)),
            used,
            Text(state, "" if state == "valid" else "bold red"),
        )
    console().print(rows)
