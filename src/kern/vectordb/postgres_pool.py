"""Connections to a PostgreSQL with the extension ``vector``, and what makes a table there."""

import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from kern.aio.shared import Registry
from kern.db.postgres.address import Address
from kern.db.postgres.connections import Connections
from kern.db.postgres.connector import Connector, Session
from kern.db.postgres.reporting import sqlstate
from kern.errors import ConfigurationError
from kern.vectordb.postgres_sql import COLUMNS, HNSW, Table

if TYPE_CHECKING:
    import asyncpg

# Since this version of the extension a search goes on where a filter, or rows that are gone, have
# left too little.
LEAST_VERSION = (0, 8)

EXTENSION = "vector"

_INSUFFICIENT_PRIVILEGE = "42501"

_INSTALL = (
    "install pgvector on its machine (Debian has postgresql-18-pgvector), or take the image "
    "pgvector/pgvector; `kern db up` starts one that has it."
)


class Target(msgspec.Struct, frozen=True, weakref=True):
    """A database and how it is searched; two that are equal share their connections.

    Attributes:
        address: where it is.
        pool_size: how many connections at most.
        heartbeat: the seconds within which a dead one is noticed.
        ef_search: how many embeddings a search looks at first.
    """

    address: Address
    pool_size: int
    heartbeat: float
    ef_search: int

    async def open(self) -> AsyncGenerator["Pool", None]:
        """Yield its connections for the running event loop once, and close them after that."""
        connector = _Connector(self)
        async with connector.session() as connection:
            await connector.learn(connection)
        connections = Connections(connector, self.pool_size)
        await connections.open()
        try:
            yield Pool(connector, connections)
        finally:
            connections.terminate()


targets: "Registry[Pool]" = Registry()


class Pool:
    """The connections of an event loop."""

    def __init__(self, connector: "_Connector", connections: Connections) -> None:
        """Take connections that are open."""
        self._connector = connector
        self._connections = connections

    async def fetch(self, statement: str, *values: object) -> "list[asyncpg.Record]":
        """Return the rows that a statement gives, in a transaction of its own.

        Raises:
            DatabaseError: the database refused, or is away.
        """
        if not self._connector.is_pooled:
            return await self._connections.fetch(statement, *values)
        # A pooler hands sessions around, and what was set for one with them.
        async with self._connections.transaction() as connection:
            await connection.execute(self._connector.settings("LOCAL"))
            return await connection.fetch(statement, *values)

    async def size_of(self, schema: str, name: str) -> int | None:
        """Return how many numbers the embeddings of a table have; None where there is none.

        Raises:
            ConfigurationError: the table is no table of documents.
            DatabaseError: the database did not answer.
        """
        rows = await self.fetch(
            "SELECT (SELECT atttypmod FROM pg_attribute WHERE attrelid = pg_class.oid "
            "AND attname = 'embedding' AND format_type(atttypid, NULL) ~ '(^|[.])vector$' "
            "AND atttypmod > 0), "
            "(SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = pg_class.oid) "
            "FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1::text)) "
            "AND relname = $2::text",
            schema,
            name,
        )
        if not rows:
            return None
        [(size, columns)] = rows
        if size is None or not {*columns} >= COLUMNS:
            raise ConfigurationError(
                f'"{schema}"."{name}" at {self._connector.address} is there, and is no table of '
                "documents of kern: name another one, and load it."
            )
        return int(size)

    async def make(self, table: Table, index: HNSW) -> None:
        """Make a table, and the extension where it is missing.

        Raises:
            ConfigurationError: the server has no such extension, or an old one, or this user may
                not make it.
            DatabaseError: the database refused, or is away.
        """
        opened = self._connector.session(migrates=True)
        async with opened as connection, connection.transaction():
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", table.quoted
            )
            await self._need_extension(connection)
            try:
                # Only where it is missing: to say so takes a right that a table does not.
                if not await connection.fetchval(
                    "SELECT to_regnamespace(quote_ident($1::text)) IS NOT NULL", table.schema
                ):
                    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{table.schema}"')
                for statement in table.creation(index):
                    await connection.execute(statement)
            except Exception as error:
                if sqlstate(error) != _INSUFFICIENT_PRIVILEGE:
                    raise
                raise ConfigurationError(
                    f"The user at {self._connector.address} may not make {table.quoted}: have an "
                    f'administrator say GRANT CREATE, USAGE ON SCHEMA "{table.schema}" (after '
                    "CREATE SCHEMA, where there is none), or name another schema."
                ) from error

    async def _need_extension(self, connection: "asyncpg.Connection") -> None:
        where = f"PostgreSQL at {self._connector.address}"
        [(there, found)] = await connection.fetch(
            "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1::text), "
            "(SELECT extversion FROM pg_extension WHERE extname = $1::text)",
            EXTENSION,
        )
        if found is None and not there:
            raise ConfigurationError(f"{where} does not have the extension {EXTENSION}: {_INSTALL}")
        if found is None:
            try:
                await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except Exception as error:
                if sqlstate(error) != _INSUFFICIENT_PRIVILEGE:
                    raise
                raise ConfigurationError(
                    f"{where} has the extension vector, but not in this database, and its user may "
                    "not make it: have an administrator say CREATE EXTENSION vector there."
                ) from error
            found = await connection.fetchval(
                "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
            )
        hidden = await connection.fetchval(
            "SELECT extnamespace::regnamespace::text FROM pg_extension "
            "WHERE extname = 'vector' AND to_regtype('vector') IS NULL"
        )
        if hidden is not None:
            raise ConfigurationError(
                f"{where} has the extension vector in the schema {hidden}, where this user does "
                f'not look: say ALTER ROLE … SET search_path = "$user", public, {hidden}.'
            )
        if tuple(map(int, re.findall(r"\d+", found)[:2])) < LEAST_VERSION:
            raise ConfigurationError(
                f"{where} has version {found} of the extension vector, and kern needs 0.8: "
                "install it, then say ALTER EXTENSION vector UPDATE in the database."
            )


class _Connector(Connector):
    """Opens sessions that search as kern does."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.address, target.heartbeat, None)
        self._ef_search = target.ef_search

    def settings(self, scope: str) -> str:
        """Return the statements that have a session, or a transaction, search so."""
        return (
            f"SET {scope} hnsw.ef_search = {self._ef_search}; "
            f"SET {scope} hnsw.iterative_scan = strict_order; "
            # It would compile each search, which takes longer than to search.
            f"SET {scope} jit = off"
        )

    @override
    async def connect(self, *, migrates: bool = False) -> Session:
        session = await super().connect(migrates=migrates)
        if not (migrates or self.is_pooled or self._finds_out):
            try:
                await session.execute(self.settings("SESSION"))
            except BaseException:
                session.terminate()
                raise
        return session
