"""The app that holds every command."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kern import __version__
from kern.cli import approvals, budgets, components, db, keys, model, schedules, users
from kern.cli.figures import figures
from kern.cli.mcp import mcp
from kern.cli.runs import commands as runs
from kern.cli.serve.command import serve
from kern.cli.ui import ui
from kern.cli.worker.command import worker
from kern.cli.workers import workers
from kern.errors import KernError
from kern.run.printable import printable


class _Group(TyperGroup):
    """Shows kern's own errors as they are, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KernError as error:
            typer.echo(f"Error: {printable(str(error))}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    name="kern",
    help="Runs AI agents in the background and never loses one.",
    no_args_is_help=True,
)
app.command()(serve)
app.command()(mcp)
app.command()(worker)
app.command()(workers)
app.command()(figures)
app.command()(ui)
app.add_typer(approvals.app, name="approvals")
app.add_typer(budgets.app, name="budgets")
app.add_typer(components.app, name="components")
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(model.app, name="model")
app.add_typer(runs.app, name="runs")
app.add_typer(schedules.app, name="schedules")
app.add_typer(users.app, name="users")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kern {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Runs AI agents in the background and never loses one."""
