"""``kern runs``: looks at the runs in a database, and stops or restarts them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.db.database import Database
from kern.run.base import RunStatus
from kern.run.codec import check_id
from kern.run.printable import printable

if TYPE_CHECKING:
    from kern.dispatch.runtime import Runtime

app = typer.Typer(
    help="The runs in a database: look at them, follow, cancel or retry them.", no_args_is_help=True
)

Result = TypeVar("Result")

Run = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_runs(
    status: Annotated[
        list[RunStatus] | None,
        typer.Option(help="Only those in this status; can be repeated.", case_sensitive=False),
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of the agent with this id.")] = None,
    session: Annotated[str | None, typer.Option(help="Only those of this session.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those accepted within this time: 90s, 45m, 12h, 30d.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Only those accepted before this run: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show runs, the last accepted first."""
    from kern.cli.runs.listing import find, show_json, show_table

    given = {"--agent": agent, "--session": session, "--user": user, "--before": before}
    for option, value in given.items():
        if value is not None:
            check_id(option, value)
    database = existing_database(db, table, schema)
    wanted = (agent, tuple(status or ()), session, user)
    records = asyncio.run(find(database, *wanted, since=since, before=before, limit=limit))
    if as_json:
        show_json(records)
    else:
        show_table(records, limit)


@app.command()
def show(
    run: Run, as_json: AsJson = False, db: Url = None, table: Table = TABLE, schema: Schema = SCHEMA
) -> None:
    """Show a run and what has happened in it."""
    from kern.cli.runs.show import look_up, show_json, show_run

    database = existing_database(db, table, schema)
    record, rows, executor = asyncio.run(look_up(database, check_id("RUN", run)))
    if as_json:
        show_json(record, rows)
    else:
        show_run(record, rows, executor)


@app.command()
def watch(
    run: Annotated[
        str | None, typer.Argument(help="The run's id; by default all runs.", show_default=False)
    ] = None,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Follow a run until it ends; or all that have not ended, until Ctrl-C.

    With a run the exit code is 0 where it completed, 1 where it failed, was cancelled or paused.
    """
    from kern.cli.runs.watch import watch_all, watch_run

    database = existing_database(db, table, schema)
    try:
        if run is None:
            asyncio.run(watch_all(database))
            return
        run_id = check_id("RUN", run)
        status = _use(database, lambda runtime: watch_run(runtime, run_id))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if status is not RunStatus.completed:
        raise typer.Exit(1)


@app.command()
def cancel(
    run: Annotated[list[str], typer.Argument(help="The runs' ids.", show_default=False)],
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Cancel runs and what their tools have started; exit code 1 where one was not cancelled."""
    run_ids = [check_id("RUN", each) for each in run]

    async def cancel_all(runtime: "Runtime") -> bool:
        return all([await _cancel(runtime, run_id) for run_id in run_ids])

    if not _use(existing_database(db, table, schema), cancel_all):
        raise typer.Exit(1)


@app.command()
def retry(run: Run, db: Url = None, table: Table = TABLE, schema: Schema = SCHEMA) -> None:
    """Have a run that ended in ERROR go on after its last step, in a process that serves it."""
    run_id = check_id("RUN", run)
    taken = _use(
        existing_database(db, table, schema),
        lambda runtime: runtime.resume(run_id, RunStatus.error),
    )
    typer.echo(
        f"{printable(run_id)} is {taken.status}: a worker that serves the agent "
        f"{printable(taken.agent_id)} goes on with it"
    )


def _use(database: Database, work: "Callable[[Runtime], Awaitable[Result]]") -> Result:
    from kern.dispatch.runtime import Runtime

    async def main() -> Result:
        return await work(await Runtime.of(database))

    return asyncio.run(main())


async def _cancel(runtime: "Runtime", run_id: str) -> bool:
    """Cancel a run and say what came of it; one that is not known leaves no pending cancel."""
    shown = printable(run_id)
    record = await runtime.store.get(run_id)
    if record is None:
        typer.echo(f"Error: There is no run {run_id!r} in {runtime.store}.", err=True)
        return False
    if await runtime.cancel(run_id):
        typer.echo(f"{shown} is cancelled")
        return True
    ended = await runtime.store.get(run_id)
    status = record.status if ended is None else ended.status
    typer.echo(f"{shown} has ended before: {status}")
    return status is RunStatus.cancelled
