"""``kern runs``: looks at the runs in a database, and stops or restarts them."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from kern.cli.asking import Yes
from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson
from kern.cli.runs.choosing import Agent, Choice, Search, Session, Since, Status, Until, User
from kern.db.database import Database
from kern.run.base import RunStatus
from kern.run.codec import check_id

if TYPE_CHECKING:
    from kern.cli.runs.changing import Change
    from kern.dispatch.runtime import Runtime

app = typer.Typer(
    help="The runs in a database: look at them, follow, cancel or retry them.", no_args_is_help=True
)

Result = TypeVar("Result")

Run = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]
Runs = Annotated[
    list[str] | None, typer.Argument(help="The runs' ids; or choose them.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, show_default=False, help="How many at most, the last accepted first."),
]


@app.command(name="list")
def list_runs(
    status: Status = None,
    agent: Agent = None,
    session: Session = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    before: Annotated[
        str | None, typer.Option(help="Only those accepted before this run: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show runs, the last accepted first, with who executes each, or why nobody does.

    kern runs list --status error --since 1h
    """
    from kern.cli.runs.choosing import find
    from kern.cli.runs.listing import show_json, show_table

    choice = Choice(agent, tuple(status or ()), session, user, since, until, search)
    choice.check()
    if before is not None:
        check_id("--before", before)
    look = asyncio.run(find(existing_database(db, table, schema), choice, limit, before))
    if as_json:
        show_json(look)
    else:
        show_table(look, limit)


@app.command()
def show(
    run: Run, as_json: AsJson = False, db: Url = None, table: Table = TABLE, schema: Schema = SCHEMA
) -> None:
    """Show a run: who executes it or why nobody does, its step, and what has happened in it.

    kern runs show RUN
    """
    from kern.cli.runs.show import look_up, show_json, show_run

    run_id = check_id("RUN", run)
    look, rows = asyncio.run(look_up(existing_database(db, table, schema), run_id))
    if as_json:
        show_json(look, rows)
    else:
        show_run(look, rows)


@app.command()
def watch(
    run: Annotated[
        str | None, typer.Argument(help="The run's id; by default all runs.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Follow a run until it ends; or all that have not ended, those that execute first.

    Of a run it tells what it is doing and since when, or why nobody executes it. Ctrl-C ends.
    With --json it prints an object a line: each event of the run, or each change of any.
    With a run the exit code is 0 where it completed, 1 where it failed, was cancelled or paused.
    """
    from kern.cli.runs.watch import watch_all, watch_run

    run_id = None if run is None else check_id("RUN", run)
    database = existing_database(db, table, schema)
    try:
        if run_id is None:
            asyncio.run(watch_all(database, in_json=as_json))
            return
        status = _use(database, lambda runtime: watch_run(runtime, run_id, in_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if status is not RunStatus.completed:
        raise typer.Exit(1)


@app.command()
def cancel(
    run: Runs = None,
    status: Status = None,
    agent: Agent = None,
    session: Session = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Cancel runs and what their tools have started; exit code 1 where one was not cancelled.

    kern runs cancel RUN RUN

    kern runs cancel --agent researcher --status pending --until 1h --dry-run
    """
    from kern.cli.runs.changing import CANCEL

    choice = Choice(agent, tuple(status or ()), session, user, since, until)
    named = partial(existing_database, db, table, schema)
    _change(CANCEL, run, choice, limit, dry_run, yes, as_json, named)


@app.command()
def retry(
    run: Runs = None,
    status: Status = None,
    agent: Agent = None,
    session: Session = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Have runs that ended in ERROR go on after their last step, in a process that serves them.

    The exit code is 1 where one does not.

    kern runs retry RUN RUN

    kern runs retry --agent researcher --since 2h --dry-run
    """
    from kern.cli.runs.changing import RETRY

    choice = Choice(agent, tuple(status or ()), session, user, since, until)
    named = partial(existing_database, db, table, schema)
    _change(RETRY, run, choice, limit, dry_run, yes, as_json, named)


def _change(
    change: "Change",
    given: list[str] | None,
    choice: Choice,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    named: Callable[[], Database],
) -> None:
    """Do something with the runs that are named or chosen."""
    from kern.cli.runs.changing import Changing, Found

    choice.check()
    run_ids = [check_id("RUN", each) for each in dict.fromkeys(given or ())]
    changing = Changing(change, run_ids, choice, limit, yes, as_json, dry_run)
    changing.check()
    database = named()
    if dry_run or not run_ids:
        found = _use(database, changing.find)
    else:
        found = [Found(each, None) for each in run_ids]
    # A person is asked between two event loops: on one, the first Ctrl-C would not be heard.
    if dry_run:
        is_done = changing.tell(found)
    elif changing.is_confirmed(found):
        is_done = _use(database, lambda runtime: changing.make(runtime, found))
    else:
        is_done = False
    if not is_done:
        raise typer.Exit(1)


def _use(database: Database, work: "Callable[[Runtime], Awaitable[Result]]") -> Result:
    from kern.dispatch.opening import open_runtime

    async def main() -> Result:
        return await work(await open_runtime(database))

    return asyncio.run(main())
