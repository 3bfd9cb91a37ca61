"""``kern db``: the tables in a database, and the PostgreSQL that comes with kern."""

from pathlib import Path
from typing import Annotated

import typer

from kern.cli import tables
from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, open_database

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
) -> None:
    """Start PostgreSQL, with user, password and database «ai»; harmless when it runs."""
    from rich.console import Console

    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data, port)
    with Console(stderr=True).status("Starting PostgreSQL ..."):
        server.start()
    typer.echo(f"PostgreSQL runs at {server.url} (data in {server.data})")


@app.command()
def down(data: Data = None) -> None:
    """Stop PostgreSQL; its data stays. Harmless when it does not run."""
    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data)
    if not server.running():
        typer.echo(f"PostgreSQL does not run (data in {server.data})")
        return
    server.stop()
    typer.echo(f"PostgreSQL is stopped (data in {server.data})")


@app.command()
def status(
    data: Data = None,
    as_json: tables.AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show a database: its tables, and who executes its runs, or why nobody does.

    Without a database: whether PostgreSQL runs here.

    Exit code 3 when the tables are missing or old, or PostgreSQL does not run; 4 when the tables
    are newer than this kern; 5 when they are damaged.
    """
    if as_json or (db and data is None):
        tables.show_status(open_database(db, table, schema), as_json)
    else:
        _show_server(data)


def _show_server(data: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from kern.local.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(data)
    port = server.served_port()
    table = Table.grid(padding=(0, 2))
    table.add_row("PostgreSQL", "[red]stopped[/red]" if port is None else "[green]running[/green]")
    if port is not None:
        server.port = port
        table.add_row("URL", server.url)
    table.add_row("Data", str(server.data))
    Console(soft_wrap=True).print(table)
    if port is None:
        raise typer.Exit(3)
