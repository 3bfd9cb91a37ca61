"""The options with which a command names its database, and how it is opened."""

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from kern.errors import ConfigurationError
from kern.keywords import nearest

if TYPE_CHECKING:
    from kern.db.methods import Methods

Url = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="KERN_DB_URL",
        show_default=False,
        help="postgresql://user:password@host:port/database, or sqlite:///path of a file.",
    ),
]
Table = Annotated[
    str,
    typer.Option("--table", "--session-table", help="The table of the sessions (session_table)."),
]
Schema = Annotated[str, typer.Option(help="The schema of the tables in PostgreSQL (db_schema).")]

TABLE, SCHEMA = "kern_sessions", "kern"

_SQLITE = "sqlite:///"

_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")


def open_database(url: str | None, table: str = TABLE, schema: str = SCHEMA) -> "Methods":
    """Return the database that a command's options name.

    Args:
        url: ``postgresql://…``, or ``sqlite:///`` and the path of a file; an absolute path begins
            with a fourth slash.
        table: the table of the sessions.
        schema: the schema, in PostgreSQL.

    Raises:
        ConfigurationError: there is no URL, or an option cannot be used.
    """
    if not url:
        raise ConfigurationError(
            "Which database? Set KERN_DB_URL or give --db: "
            "postgresql://user:password@host:5432/database, or sqlite:///kern.db for a file."
        )
    if url.startswith("sqlite:"):
        path = url.removeprefix(_SQLITE)
        if path in (url, ""):
            raise ConfigurationError(f"{url!r} names no file: write sqlite:///kern.db.")
        from kern.db.sqlite import SqliteDb

        return SqliteDb(path, table)
    if not _POSTGRES.match(url):
        scheme, is_url, _ = url.partition("://")
        meant = nearest(scheme, ("postgresql", "sqlite")) if is_url else "It is no URL."
        raise ConfigurationError(
            f"The database is to be named as postgresql://user:password@host:5432/database, or as "
            f"sqlite:///kern.db for a file. {meant}"
        )
    from kern.db.postgres import PostgresDb

    return PostgresDb(url, table, schema)


def existing_database(url: str | None, table: str = TABLE, schema: str = SCHEMA) -> "Methods":
    """Return the database that a command's options name, which has tables of kern.

    Nothing is made, in contrast to the first use of a database that has none.

    Args:
        url: see :func:`open_database`, as for the rest.
        table: the table of the sessions.
        schema: the schema, in PostgreSQL.

    Raises:
        ConfigurationError: there are no tables, or it is not named well.
        DatabaseUnavailableError: it cannot be reached.
    """
    database = open_database(url, table, schema)
    if asyncio.run(database.version()).found is None:
        raise ConfigurationError(
            f"There are no tables of kern in {database}. Check the path or URL, --table and "
            "--schema; a worker, or kern db migrate, makes them."
        )
    return database
