"""PostgreSQL, the database that users already have."""

import re
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
from typing_extensions import override

from kern.db.base import Database, TablesVersion, check_identifier
from kern.db.heart import Heart
from kern.db.postgres.connections import Connections, reporting
from kern.db.postgres.heart import PostgresHeart
from kern.db.postgres.names import Names
from kern.db.postgres.schema import migrate, migration_sql, tables_version
from kern.db.postgres.store import PostgresStore
from kern.errors import ConfigurationError

__all__ = ["PostgresDb"]

_URL = re.compile(r"(?:postgresql|postgres)(?:\+\w+)?://")
_SCHEME = re.compile(r"\w+(?:\+\w+)?://")


class PostgresDb(Database):
    """Sessions, runs and their queue in PostgreSQL.

    Nothing is opened before the first use; then the tables are made or migrated, and the
    connections are kept until the event loop ends.
    """

    def __init__(
        self,
        db_url: str,
        session_table: str = "kern_sessions",
        db_schema: str = "kern",
        pool_size: int = 8,
    ) -> None:
        """Name the database.

        Args:
            db_url: ``postgresql://user:password@host:port/database``. A driver in the scheme, as
                in ``postgresql+psycopg://``, is accepted and ignored.
            session_table: the table of the sessions; the others are named after it.
            db_schema: the schema for all tables, in lower case.
            pool_size: connections of an event loop at most, from 2 on; one more is used to listen.

        Raises:
            ConfigurationError: the URL or a name cannot be used.
        """
        super().__init__(session_table)
        check_identifier("db_schema", db_schema)
        if db_schema != db_schema.lower() or db_schema.startswith("pg_"):
            raise ConfigurationError(
                f"db_schema {db_schema!r} must be in lower case and not begin with pg_."
            )
        if pool_size < 2:
            raise ConfigurationError(f"pool_size must be at least 2, not {pool_size}.")
        self._dsn, self._address = _parse(db_url)
        self._names = Names(db_schema, session_table)
        self._pool_size = pool_size

    def __repr__(self) -> str:
        return f"PostgresDb({self._address!r}, {self._names.sessions})"

    @override
    async def version(self) -> TablesVersion:
        with reporting(self._address):
            connection = await self._connect()
            try:
                return await tables_version(connection, self._names)
            finally:
                await connection.close()

    @override
    def open_heart(self) -> Heart:
        return PostgresHeart(self._connect, self._names, self._address)

    @override
    def migration_sql(self) -> str:
        return migration_sql(self._names)

    @override
    async def damage(self) -> list[str]:
        from kern.db.postgres.damage import find_damage

        with reporting(self._address):
            connection = await self._connect()
            try:
                return await find_damage(connection, self._names)
            finally:
                await connection.close()

    async def _open(self) -> AsyncGenerator[PostgresStore, None]:
        with reporting(self._address):
            connection = await self._connect()
            try:
                await migrate(connection, self._names)
            finally:
                await connection.close()
            pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._pool_size,
                timeout=10,
                command_timeout=60,
                reset=_keep_as_it_is,
                server_settings={"application_name": "kern"},
            )
        store = PostgresStore(Connections(pool, self._connect, self._address), self._names)
        try:
            yield store
        finally:
            await store.close()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=10,
            command_timeout=60,
            server_settings={"application_name": "kern"},
        )


async def _keep_as_it_is(_connection: asyncpg.Connection) -> None:
    """Kern's statements leave no state behind, so a released connection needs no reset."""


def _parse(db_url: object) -> tuple[str, str]:
    """Return the URL as asyncpg takes it, and the address without the password.

    What the errors show of the URL cannot hold its password, however it was mistyped.
    """
    if not isinstance(db_url, str) or not _URL.match(db_url):
        raise ConfigurationError(
            "db_url must look like postgresql://user:password@host:5432/database, not "
            f"{_shown(db_url)}."
        )
    dsn = _URL.sub("postgresql://", db_url, count=1)
    try:
        parts = urlsplit(dsn)
        address = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
        # An @ after the host belongs to a password that was cut off at a / or # of its own.
        readable = "@" not in parts.path + parts.fragment
    except ValueError:
        readable = False
    if not readable:
        raise ConfigurationError(
            "db_url cannot be read. Write its port as a number, and characters of the password "
            "other than letters and digits as in %2F for a slash."
        )
    return dsn, address


def _shown(db_url: object) -> str:
    if not isinstance(db_url, str):
        return type(db_url).__name__
    scheme = _SCHEME.match(db_url)
    return scheme[0] if scheme else "text without ://"
