"""``kern figures``: what happened over the last hours or weeks."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.db.database import Database
from kern.run.codec import check_id

if TYPE_CHECKING:
    from kern.db.figures import Tally
    from kern.operations.figures import Course

Span = Annotated[Literal["1h", "24h", "7d", "30d"], typer.Option("--last", help="Over which time.")]


def figures(
    span: Span = "24h",
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Only of the runs of this agent; may be repeated.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show how many runs there were, how long they waited and took, and what they used.

    Workers and services count each minute once it has passed. How many runs execute and wait is
    looked up once a minute, and told as the mean.

    kern figures --last 7d --agent researcher
    """
    for each in agent or ():
        check_id("--agent", each)
    course = asyncio.run(_find(existing_database(db, table, schema), span, agent))
    if as_json:
        from kern.operations.figures import as_json as course_json

        typer.echo(json.dumps(course_json(course), indent=2))
    else:
        _show(course)


async def _find(database: Database, span: str, agents: list[str] | None) -> "Course":
    from kern.operations.figures import course_of

    return await course_of(await database.store(), span, agents)


def _show(course: "Course") -> None:
    from kern.cli.terminal import Column, cell, choose, console, table_of
    from kern.operations.figures import mean, percentile
    from kern.operations.wording import dollars, seconds

    shown = console()
    if not course.steps:
        shown.print("Nothing was counted yet: a worker or a service counts, minute by minute.")
        return
    rows = [*course.rows, course.whole]

    def column(name: str, text: Callable[["Tally"], str], rank: int = 0) -> Column:
        return Column(name, [cell(text(each)) for each in rows], rank, True)

    def average(name: str) -> Callable[["Tally"], str]:
        return lambda each: "" if (found := mean(each, name)) is None else f"{found:,.1f}"

    def quantile(counts: str, share: float) -> Callable[["Tally"], str]:
        return lambda each: seconds(percentile(getattr(each, counts), share))

    columns = [
        Column("From", [*(cell(each) for each in _moments(course.rows)), cell("all")]),
        column("Submitted", lambda each: f"{each.submitted:,}"),
        column("Completed", lambda each: f"{each.completed:,}"),
        column("Failed", lambda each: f"{each.failed:,}", 1),
        column("Cancelled", lambda each: f"{each.cancelled:,}", 9),
        column("Executing", average("executing"), 6),
        column("Due", average("due"), 2),
        column("Waiting", average("waiting"), 10),
        column("Wait p50", quantile("waits", 0.5), 8),
        column("Wait p95", quantile("waits", 0.95), 3),
        column("Run p50", quantile("durations", 0.5), 7),
        column("Run p95", quantile("durations", 0.95), 4),
    ]
    tokens = Column(
        "Tokens", [cell(f"{each.input_tokens + each.output_tokens:,}") for each in rows], 5, True
    )
    cost = Column("Cost", [cell(dollars(each.cost) if each.cost else "") for each in rows], 0, True)
    chosen, room = choose([*columns, tokens], shown.width, 12)
    shown.print(table_of(chosen, cost, shown.width, room))


def _moments(rows: Sequence["Tally"]) -> list[str]:
    return [f"{each.begins_at:%Y-%m-%d %H:%M}" for each in rows]
