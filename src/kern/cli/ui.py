"""``kern ui``: what is in a database, in a browser."""

from typing import Annotated

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.worker.command import Log, LogForm


def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one and prints it.")
    ] = 8010,
    log: LogForm = Log.text,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show runs, sessions, schedules, workers and approvals in a browser on this machine.

    It needs no agents, only their database: what is stopped, retried, forked or approved there is
    carried out by the processes that serve them. Everybody on this machine may use it; for others
    there is «kern serve», which has the same page at /ui for those whom it knows.

    kern ui --db postgresql://user@host/database
    """
    from kern.extras import extra

    database = existing_database(db, table, schema)
    with extra("server"):
        from kern.cli.serve.process import run_alone
    run_alone(database, port, log.value)
