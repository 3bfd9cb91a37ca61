"""``kern schedules``: what agents do by themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar, cast
from zoneinfo import ZoneInfo

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.db.schedules import Schedules
from kern.errors import InvalidInputError, ScheduleNotFoundError
from kern.keywords import nearest
from kern.run.printable import printable
from kern.run.schedule import Missed, Schedule

app = typer.Typer(help="Agents that run by themselves, at moments named by cron lines.")

Result = TypeVar("Result")

# For how long a process counts as one that serves its agents, in seconds.
_SEEN = 60.0

Name = Annotated[str, typer.Argument(help="The schedule.")]


@app.command(name="list")
def list_schedules(
    agent: Annotated[str | None, typer.Option(help="Only those of the agent with this id.")] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show the schedules, and when each runs next."""
    found = _use(existing_database(db, table, schema), lambda schedules: schedules.find(agent))
    if as_json:
        print_json([schedule.to_dict() for schedule in found])
    else:
        _show(found)


@app.command()
def create(
    name: Name,
    agent: Annotated[str, typer.Option(help="The id of the agent that runs.")],
    cron: Annotated[
        str, typer.Option(help="Minute, hour, day of the month, month, day of the week.")
    ],
    given: Annotated[str, typer.Option("--input", help="What the agent is told.")],
    timezone: Annotated[str, typer.Option(help="Where the line is read: Europe/Berlin.")] = "UTC",
    missed: Annotated[
        str,
        typer.Option(help="What becomes of missed runs: skip, once (one for all) or all."),
    ] = "once",
    session: Annotated[
        str | None, typer.Option(help="The session of all its runs; by default a new one each.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also for an agent that the database does not know yet.")
    ] = False,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Have an agent run by itself; replaces its schedule of this name.

    kern schedules create nightly --agent researcher --cron "0 2 * * *" --input "What is new?"
    """

    async def put(store: Store) -> Schedule:
        schedule = Schedule.new(
            name,
            agent,
            given,
            now=await store.schedules.now(),
            cron=cron,
            timezone=timezone,
            missed=cast(Missed, missed),
            session_id=session,
            user_id=user,
        )
        if not force:
            await _check_agent(store, agent)
        return await store.schedules.create(schedule)

    _tell(_open(existing_database(db, table, schema), put), as_json)


@app.command()
def pause(
    name: Name,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Have a schedule start no runs, until it is resumed.

    kern schedules pause nightly
    """
    database = existing_database(db, table, schema)
    _tell(_use(database, lambda schedules: schedules.pause(name)), as_json)


@app.command()
def resume(
    name: Name,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Have a paused schedule go on; what it missed meanwhile is skipped.

    kern schedules resume nightly
    """
    database = existing_database(db, table, schema)
    _tell(_use(database, lambda schedules: schedules.resume(name)), as_json)


@app.command()
def delete(
    name: Name,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Delete a schedule; the runs that it started stay.

    kern schedules delete nightly
    """
    if not _use(existing_database(db, table, schema), lambda schedules: schedules.delete(name)):
        raise ScheduleNotFoundError(f"There is no schedule {name!r}.")
    if as_json:
        print_json({"name": name, "deleted": True})
    else:
        typer.echo(f"{printable(name)} is deleted")


async def _check_agent(store: Store, agent: str) -> None:
    """Raise where nothing in the database tells of an agent: who would execute its runs?"""
    if await store.find(RunFilter(agent), 1):
        return
    known = {each for process in await store.processes.find(_SEEN) for each in process.agents}
    known.update(await store.schedules.agents())
    if agent not in known:
        raise InvalidInputError(
            f"The agent {agent!r} is not known here: no process serves it, and it has no runs. "
            f"{nearest(agent, sorted(known))} Give --force if it is yet to come."
        )


def _use(database: Database, work: Callable[[Schedules], Awaitable[Result]]) -> Result:
    return _open(database, lambda store: work(store.schedules))


def _open(database: Database, work: Callable[[Store], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        return await work(await database.store())

    return asyncio.run(main())


def _tell(schedule: Schedule, as_json: bool) -> None:
    if as_json:
        print_json(schedule.to_dict())
        return
    what = "is paused" if schedule.paused else f"runs next at {_local(schedule, schedule.next_at)}"
    typer.echo(f"{printable(schedule.name)} {what}")


def _local(schedule: Schedule, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(schedule.timezone)):%Y-%m-%d %H:%M}"


def _show(schedules: list[Schedule]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import cell, console

    rows = Rows("Name", "Agent", "Cron", "Time zone", "Missed", "Next run", "Last run", box=None)
    for schedule in schedules:
        rows.add_row(
            cell(schedule.name),
            cell(schedule.agent_id),
            cell(schedule.cron),
            schedule.timezone,
            schedule.missed,
            Text("paused", "yellow") if schedule.paused else _local(schedule, schedule.next_at),
            "" if schedule.last_at is None else _local(schedule, schedule.last_at),
        )
    console().print(rows)
