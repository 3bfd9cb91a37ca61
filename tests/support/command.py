"""The command kern, in this process."""

from collections.abc import Sequence

from elsewhere import environment_of
from typer.testing import CliRunner

from kern.cli.main import app
from kern.db.database import Database


def options_of(db: Database) -> list[str]:
    """Return the options that name a database."""
    where = environment_of(db, "")
    url = where["TEST_DB"] if "://" in where["TEST_DB"] else f"sqlite:///{where['TEST_DB']}"
    return ["--db", url, "--table", where["TEST_TABLE"]]


def invoked(where: Sequence[str], *command: str, given: str | None = None) -> tuple[int, str]:
    """Carry a command out; return its exit code, and what it has printed.

    Args:
        where: the options that name a database.
        command: its words.
        given: what a person types.
    """
    shown = CliRunner().invoke(app, [*command, *where], given)
    return shown.exit_code, shown.output


def printed(where: Sequence[str], *command: str) -> str:
    """Carry a command out that has to succeed; return what it has printed."""
    exit_code, output = invoked(where, *command)
    assert exit_code == 0, output
    return output
