"""Asking a person before something is done that cannot be undone."""

from typing import Annotated

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]


def is_confirmed(question: str) -> bool:
    """Ask whether to go on; where nobody can answer, nobody agrees."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        typer.echo("\nNothing is changed. With --yes nothing is asked.", err=True)
        return False
