"""``kern budgets``: how much users may use in a period, and what they have used."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.run.budget import Budget, Period, Spending, check_period
from kern.run.codec import check_id
from kern.run.printable import printable

app = typer.Typer(help="How much users may use in an hour, day, week or month.")

User = Annotated[
    str | None,
    typer.Argument(
        help="The user_id; by default everybody who has none of their own.", show_default=False
    ),
]
Per = Annotated[str, typer.Option(help="The period, of UTC: hour, day, week or month.")]

EVERYBODY = "everybody"


@app.command(name="list")
def list_budgets(
    user: Annotated[
        str | None,
        typer.Option(help="Those that hold for this user, with what was used of them."),
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show the budgets that are set, or those that hold for a user."""
    if user is not None:
        check_id("--user", user)
    database = existing_database(db, table, schema)
    found: Sequence[Budget | Spending]
    if user is None:
        found = asyncio.run(database.alist_budgets())
    else:
        found = asyncio.run(database.aget_spending(user))
    if as_json:
        print_json([_as_json(each) for each in found])
    else:
        _show(found)


@app.command(name="set")
def set_budget(
    user: User = None,
    per: Per = "day",
    cost: Annotated[float | None, typer.Option(help="US dollars.", show_default=False)] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens.", show_default=False)] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Set a budget, in the place of the last one for this period; what was used stays.

    kern budgets set alice --per month --cost 20
    """
    budget = Budget(user, cast(Period, per), cost, tokens)
    asyncio.run(existing_database(db, table, schema).aset_budget(budget))
    if as_json:
        print_json(_as_json(budget))
    else:
        typer.echo(f"{_whose(budget)} may use {_limits(budget)} per {budget.per}")


@app.command()
def delete(
    user: User = None,
    per: Per = "day",
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Delete a budget; everybody's holds for the user then, if there is one."""
    period = check_period(per)
    if user is not None:
        check_id("USER", user)
    whose = EVERYBODY if user is None else printable(user)
    if not asyncio.run(existing_database(db, table, schema).adelete_budget(user, period)):
        typer.echo(f"There is no budget of {whose} per {per}.", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json({"user_id": user, "per": period, "deleted": True})
    else:
        typer.echo(f"The budget of {whose} per {per} is deleted")


def _whose(budget: Budget) -> str:
    return EVERYBODY if budget.user_id is None else printable(budget.user_id)


def _limits(budget: Budget) -> str:
    cost = None if budget.cost is None else f"${budget.cost:,g}"
    tokens = None if budget.tokens is None else f"{budget.tokens:,} tokens"
    return " and ".join(filter(None, (cost, tokens)))


def _as_json(each: Budget | Spending) -> dict[str, object]:
    budget = each if isinstance(each, Budget) else each.budget
    values: dict[str, object] = {
        "user_id": budget.user_id,
        "per": budget.per,
        "cost": budget.cost,
        "tokens": budget.tokens,
    }
    if isinstance(each, Spending):
        values |= {
            "used_cost": each.cost,
            "used_tokens": each.tokens,
            "resets_at": each.resets_at.isoformat(),
        }
    return values


def _show(found: Sequence[Budget | Spending]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import cell, console
    from kern.operations.wording import dollars

    if not found:
        console().print("No budgets.")
        return
    is_spending = isinstance(found[0], Spending)
    more = ("Used", "Resets (UTC)") if is_spending else ()
    rows = Rows("Budget of", "Per", "Limit", *more, box=None)
    for each in found:
        budget = each if isinstance(each, Budget) else each.budget
        cells = [cell(_whose(budget)), Text(budget.per), Text(_limits(budget))]
        if isinstance(each, Spending):
            used = f"{dollars(each.cost)}, {each.tokens:,} tokens"
            cells.append(Text(used, "bold red" if each.exceeded else ""))
            cells.append(Text(f"{each.resets_at:%Y-%m-%d %H:%M}"))
        rows.add_row(*cells)
    console().print(rows)
