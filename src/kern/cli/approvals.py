"""``kern approvals``: what people have to allow before runs go on."""

import asyncio
import getpass
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kern.cli.database import SCHEMA, TABLE, Schema, Table, Url, existing_database
from kern.cli.output import AsJson, print_json
from kern.errors import InvalidInputError
from kern.run.codec import decode_object
from kern.run.printable import printable

if TYPE_CHECKING:
    from kern.db.approval_methods import ApprovalMethods
    from kern.run.approval import ApprovalChange

app = typer.Typer(
    help="What people have to allow before runs go on: look, approve, reject.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(help="The approval's id.", show_default=False)]
By = Annotated[
    str | None,
    typer.Option(help="Who decides; by default who is logged in here.", show_default=False),
]

_STYLES = {"pending": "bold yellow", "approved": "green", "rejected": "red"}


@app.command(name="list")
def list_approvals(
    status: Annotated[
        str, typer.Option(help="pending, approved, rejected, expired, cancelled or any.")
    ] = "pending",
    kind: Annotated[
        str | None, typer.Option("--type", help="required or audit.", show_default=False)
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Those of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Those of this user.")] = None,
    run: Annotated[str | None, typer.Option(help="Those of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    page: Annotated[int, typer.Option(min=1, help="Which page of so many.")] = 1,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show approvals, the last made first; by default those that nobody has decided.

    kern approvals list --status rejected --agent cashier
    """
    database = existing_database(db, table, schema)
    found, total = asyncio.run(
        database.aget_approvals(
            None if status == "any" else status,
            approval_type=kind,
            agent_id=agent,
            user_id=user,
            run_id=run,
            limit=limit,
            page=page,
        )
    )
    if as_json:
        print_json({"total": total, "approvals": found})
    else:
        _show_all(found, total)


@app.command()
def show(
    approval: Id,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Show an approval: what is asked for, by whom, and what was decided.

    kern approvals show APPROVAL
    """
    found = asyncio.run(existing_database(db, table, schema).aget_approval(approval))
    if found is None:
        raise _missing(approval)
    if as_json:
        print_json(found)
    else:
        _show(found)


@app.command()
def approve(
    approval: Id,
    by: By = None,
    args: Annotated[
        str | None,
        typer.Option(help="Make the call with these arguments instead: a JSON object."),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(help="What is asked for, where that is a user's input: a JSON object."),
    ] = None,
    result: Annotated[
        str | None, typer.Option(help="What the call has returned that was made elsewhere.")
    ] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Allow what is asked for; a background run goes on with it by itself.

    kern approvals approve 0190… --by ada
    """
    data: dict[str, object] = {}
    if args is not None:
        data["arguments"] = _object("--args", args)
    if values is not None:
        data["values"] = _object("--values", values)
    if result is not None:
        data["result"] = result
    _resolve(existing_database(db, table, schema), approval, "approved", by, data, as_json)


@app.command()
def reject(
    approval: Id,
    by: By = None,
    note: Annotated[str | None, typer.Option(help="What the model is told of it.")] = None,
    as_json: AsJson = False,
    db: Url = None,
    table: Table = TABLE,
    schema: Schema = SCHEMA,
) -> None:
    """Refuse what is asked for; the model is told so, and a background run goes on by itself.

    kern approvals reject 0190… --note "Too much."
    """
    data = {} if note is None else {"note": note}
    _resolve(existing_database(db, table, schema), approval, "rejected", by, data, as_json)


def _resolve(
    database: "ApprovalMethods",
    approval_id: str,
    status: str,
    by: str | None,
    data: Mapping[str, object],
    as_json: bool,
) -> None:
    fields: ApprovalChange = {"status": status, "resolved_by": by or getpass.getuser()}
    if data:
        fields["resolution_data"] = dict(data)

    async def resolve() -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        changed = await database.aupdate_approval(approval_id, "pending", **fields)
        return changed, changed or await database.aget_approval(approval_id)

    changed, found = asyncio.run(resolve())
    if found is None:
        raise _missing(approval_id)
    shown = printable(approval_id)
    if changed is None:
        typer.echo(f"Error: {shown} is not pending: {_decided(found)}.", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json(found)
        return
    run = printable(str(found["run_id"]))
    goes_on = found["run_status"] == "PENDING"
    then = f"run {run} goes on" if goes_on else f"run {run} goes on once it is continued"
    typer.echo(f"{shown} is {status}; {then}" if found["run_id"] else f"{shown} is {status}")


def _missing(approval_id: str) -> typer.Exit:
    typer.echo(f"Error: There is no approval {approval_id!r}.", err=True)
    return typer.Exit(1)


def _object(name: str, text: str) -> dict[str, object]:
    try:
        return decode_object(text)
    except ValueError as error:
        raise InvalidInputError(f"{name} must be a JSON object: {error}.") from None


def _decided(found: dict[str, Any]) -> str:
    """Return how an approval stands, as a sentence without its end."""
    by = f" by {printable(found['resolved_by'])}" if found["resolved_by"] else ""
    at = f" at {_moment(found['resolved_at'])} UTC" if found["resolved_at"] else ""
    return f"it is {found['status']}{by}{at}"


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _show_all(found: Sequence[dict[str, Any]], total: int) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import cell, console

    shown = console()
    if not found:
        shown.print("No approvals.")
        return
    rows = Rows("Id", "Status", "Asked (UTC)", "Agent", "User", "Call", "Decided by", box=None)
    for each in found:
        rows.add_row(
            cell(each["id"]),
            Text(each["status"], _STYLES.get(each["status"], "")),
            _moment(each["created_at"]),
            cell(each["source_name"] or each["agent_id"]),
            cell(each["user_id"]),
            cell(f"{each['tool_name']}({json.dumps(each['tool_args'] or {})})", most=120),
            cell(each["resolved_by"]),
        )
    shown.print(rows)
    if total > len(found):
        shown.print(f"{len(found):,} of {total:,}; --page shows the others.")


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table as Rows
    from rich.text import Text

    from kern.cli.terminal import console

    rows = Rows(box=None, show_header=False)
    for name, value in found.items():
        if value is None or name == "requirements":
            continue
        if name.endswith("_at"):
            text = f"{_moment(value)} UTC"
        else:
            text = value if isinstance(value, str) else json.dumps(value, indent=2)
        style = _STYLES.get(text, "") if name == "status" else ""
        rows.add_row(Text(name, "bold"), Text(printable(text), style))
    console().print(rows)
