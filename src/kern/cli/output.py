"""What commands print for programs: JSON, with ``--json``."""

import json
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(values: object) -> None:
    """Print JSON values, as lines that people can read too."""
    typer.echo(json.dumps(values, indent=2))
