"""``kern db``: the tables in a database, and the PostgreSQL that comes with kern."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kern.cli import tables
from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, open_database
from kern.cli.output import AsJson, print_json

if TYPE_CHECKING:
    from kern.local.postgres import EmbeddedPostgres

app = typer.Typer(
    help="The tables of a database; and a real PostgreSQL with pgvector on this machine, for when "
    "no server is at hand."
)
app.command()(tables.migrate)
app.command()(tables.prune)

Data = Annotated[
    Path | None,
    typer.Option(
        help="Directory of its data. By default $KERN_HOME/postgres or ~/.kern/postgres, "
        "and for root /var/lib/kern/postgres."
    ),
]


@app.command()
def up(
    port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1.")] = 5532,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Start PostgreSQL, with user, password and database «ai»; harmless when it runs."""
    from rich.console import Console

    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data, port)
    with Console(stderr=True).status("Starting PostgreSQL ..."):
        server.start()
    if as_json:
        print_json(_as_json(server, is_running=True))
    else:
        typer.echo(f"PostgreSQL runs at {server.url} (data in {server.data})")


@app.command()
def down(data: Data = None, as_json: AsJson = False) -> None:
    """Stop PostgreSQL; its data stays. Harmless when it does not run."""
    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data)
    was_running = server.running()
    if was_running:
        server.stop()
    if as_json:
        print_json(_as_json(server, is_running=False))
    else:
        what = "is stopped" if was_running else "does not run"
        typer.echo(f"PostgreSQL {what} (data in {server.data})")


@app.command()
def status(
    data: Data = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show a database: its tables, and who executes its runs, or why nobody does.

    Without a database: whether PostgreSQL runs here.

    Exit code 3 when the tables are missing or old, or PostgreSQL does not run; 4 when the tables
    are newer than this kern; 5 when they are damaged.
    """
    if data is None and (db or as_json):
        tables.show_status(open_database(db, table, schema), as_json)
    else:
        _show_server(data, as_json)


def _show_server(data: Path | None, as_json: bool) -> None:
    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data)
    port = server.served_port()
    if port is not None:
        server.port = port
    if as_json:
        print_json(_as_json(server, port is not None))
    else:
        _print_server(server, port is not None)
    if port is None:
        raise typer.Exit(3)


def _print_server(server: "EmbeddedPostgres", is_running: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_row("PostgreSQL", "[green]running[/green]" if is_running else "[red]stopped[/red]")
    if is_running:
        table.add_row("URL", server.url)
    table.add_row("Data", str(server.data))
    Console(soft_wrap=True).print(table)


def _as_json(server: "EmbeddedPostgres", is_running: bool) -> dict[str, object]:
    url = server.url if is_running else None
    return {"running": is_running, "url": url, "data": str(server.data)}
