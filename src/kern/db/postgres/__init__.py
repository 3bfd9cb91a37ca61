"""PostgreSQL, the database that users already have."""

import os
from collections.abc import AsyncGenerator
from weakref import WeakKeyDictionary

import msgspec
from typing_extensions import Unpack, override

from kern.extras import extra

with extra("postgres"):
    import asyncpg  # noqa: F401 # its absence is reported here, before anything else needs it

from kern.aio.shared import Registry, Shared
from kern.db.awaited import AwaitedMethods
from kern.db.base import Store
from kern.db.database import check_identifier, log_tables
from kern.db.heart import Heart
from kern.db.methods import Methods
from kern.db.postgres.address import Address, parse_address
from kern.db.postgres.connections import Connections
from kern.db.postgres.connector import Connector
from kern.db.postgres.heart import PostgresHeart
from kern.db.postgres.names import Names
from kern.db.postgres.schema import migrate, migration_sql, tables_version
from kern.db.postgres.store import PostgresStore
from kern.db.sync import SyncMethods
from kern.db.sync_approvals import SyncApprovalMethods
from kern.db.sync_components import SyncComponentMethods
from kern.db.sync_keys import SyncKeyMethods
from kern.db.sync_memories import SyncMemoryMethods
from kern.db.sync_runs import SyncRunMethods
from kern.db.tables import OtherTables, check_tables, url_of
from kern.db.values import TablesVersion
from kern.errors import ConfigurationError
from kern.run.numbers import check_count, check_seconds

__all__ = ["AsyncPostgresDb", "PostgresDb"]


class _PostgresServerDb(Methods):
    """Sessions, runs and their queue in PostgreSQL.

    Nothing is opened before the first use; then the tables are made or migrated. Objects with
    the same arguments share their connections on an event loop; these are kept until it ends, or
    until a little after the last of the objects is gone or closed.
    """

    def __init__(
        self,
        db_url: str | None = None,
        session_table: str | None = None,
        db_schema: str | None = None,
        pool_size: int = 8,
        listen_url: str | None = None,
        statement_cache: bool | None = None,
        heartbeat: float | None = None,
        *,
        db_engine: object = None,
        **tables: Unpack[OtherTables],
    ) -> None:
        """Name the database.

        Args:
            db_url: ``postgresql://user:password@host:port/database``, or several hosts as in
                ``host:port,host:port``, of which the first one is used that can be written to.
                A driver in the scheme, as in ``postgresql+psycopg://``, is accepted and ignored;
                so are parameters that asyncpg lacks and a connection can do without, such as
                ``channel_binding``. An unknown one is refused.
            session_table: the table of the sessions, by default ``"kern_sessions"``; the others are
                named after it.
            db_schema: the schema for all tables, in lower case; by default ``"kern"``.
            pool_size: connections of an event loop at most, from 2 on; two more are used to
                listen.
            listen_url: where to listen for notifications, which do not pass a pooler in
                transaction mode; by default ``db_url``. Where they do not arrive, kern looks
                once a second instead.
            statement_cache: whether sessions keep prepared statements, which a pooler in
                transaction mode mixes up; by default that is found out.
            heartbeat: the seconds within which a connection that is dead is noticed; by default
                the one with which this process serves, else ``KERN_HEARTBEAT``, or 15. Below 3
                it counts as 3.
            db_engine: an engine of SQLAlchemy, whose URL is used in the place of ``db_url``; kern
                has connections of its own.
            tables: names of other tables are taken, and change nothing.

        Raises:
            ConfigurationError: a URL or a name cannot be used.
        """
        check_tables(type(self).__name__, tables, _KEYWORDS)
        session_table = "kern_sessions" if session_table is None else session_table
        super().__init__(session_table)
        if db_engine is not None:
            db_url = url_of(db_engine)
        if db_url is None:
            raise ConfigurationError(
                f"{type(self).__name__} needs to know where the database is: write "
                f"{type(self).__name__}('postgresql://user:password@host:port/database')."
            )
        db_schema = "kern" if db_schema is None else db_schema
        check_identifier("db_schema", db_schema)
        if db_schema != db_schema.lower() or db_schema.startswith("pg_"):
            raise ConfigurationError(
                f"db_schema {db_schema!r} must be in lower case and not begin with pg_."
            )
        check_count("pool_size", pool_size, ConfigurationError, least=2)
        if heartbeat is not None:
            check_seconds("heartbeat", heartbeat, ConfigurationError)
        self._dsn = db_url
        self._names = Names(db_schema, session_table)
        self._target = _Target(
            parse_address(db_url),
            None if listen_url is None else parse_address(listen_url, "listen_url"),
            self._names,
            pool_size,
            statement_cache,
            heartbeat,
        )
        self._shared: Shared[Store] = _targets.find(self._target, self._target.open)
        self._stores = self._shared

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._target.address)!r}, {self._names.sessions})"

    @override
    def to_dict(self) -> dict[str, object]:
        address, schema = self._target.address, self._names.schema
        return {**super().to_dict(), "address": str(address), "db_schema": schema}

    @override
    def set_heartbeat(self, seconds: float) -> None:
        _heartbeats[self._target] = seconds

    @override
    async def store(self) -> Store:
        self._shared.join(self)
        return await super().store()

    @override
    async def aclose(self) -> None:
        await self._shared.aleave(self)

    @override
    def close(self) -> None:
        self._shared.leave(self)

    @override
    async def version(self) -> TablesVersion:
        async with self._target.connector().session() as connection:
            return await tables_version(connection, self._names)

    def connector(self) -> Connector:
        """Return what opens connections to the same database, for what has some of its own."""
        return self._target.connector()

    @override
    def open_heart(self) -> Heart:
        return PostgresHeart(self._target.connector(), self._names)

    @override
    def migration_sql(self) -> str:
        return migration_sql(self._names)

    @override
    async def damage(self) -> list[str]:
        from kern.db.postgres.damage import find_damage

        async with self._target.connector().session() as connection:
            return await find_damage(connection, self._names)

    def _open(self) -> AsyncGenerator[Store, None]:
        return self._target.open()


class PostgresDb(
    SyncMethods,
    SyncRunMethods,
    SyncApprovalMethods,
    SyncKeyMethods,
    SyncComponentMethods,
    SyncMemoryMethods,
    _PostgresServerDb,
):
    """Sessions, runs and their queue in PostgreSQL.

    Nothing is opened before the first use; then the tables are made or migrated. Objects with
    the same arguments share their connections on an event loop; these are kept until it ends, or
    until a little after the last of the objects is gone or closed.

    Its methods for sessions and runs are synchronous, and have awaitable twins with a leading
    ``a``. Agents take it in both ways.

    Example:
        >>> PostgresDb("postgresql://ai:secret@localhost/ai", db_schema="agents")
        PostgresDb('localhost:5432', "agents"."kern_sessions")
    """


class AsyncPostgresDb(AwaitedMethods, _PostgresServerDb):
    """:class:`PostgresDb`, with methods for sessions and runs that are awaited.

    Example:
        >>> db = AsyncPostgresDb("postgresql://ai:secret@localhost/ai")
        >>> async def count() -> int:
        ...     records, _ = await db.get_approvals(status="pending")
        ...     return len(records)
    """


class _Target(msgspec.Struct, frozen=True, weakref=True):
    """What a database is; two that are equal share their connections."""

    address: Address
    listen_address: Address | None
    names: Names
    pool_size: int
    statement_cache: bool | None
    heartbeat: float | None

    def connector(self) -> Connector:
        """Return what opens its connections."""
        return Connector(self.address, self._heartbeat(), self.statement_cache)

    async def open(self) -> AsyncGenerator[Store, None]:
        """Yield it once, open for the running event loop, and close it after that."""
        connector = self.connector()
        await self._prepare(connector)
        listening = None
        if self.listen_address is not None:
            listening = Connector(self.listen_address, self._heartbeat(), None)
        connections = Connections(connector, self.pool_size, listening)
        await connections.open()
        store = PostgresStore(connections, self.names)
        try:
            yield store
        finally:
            await store.aclose()

    async def _prepare(self, connector: Connector) -> None:
        """Make or migrate the tables where they are not what this version of kern uses."""
        async with connector.session() as connection:
            await connector.learn(connection)
            found, known = await tables_version(connection, self.names)
        if found != known:
            async with connector.session(migrates=True) as connection:
                await migrate(connection, self.names)
            log_tables(f"{self.names.sessions} at {self.address}", TablesVersion(found, known))

    def _heartbeat(self) -> float:
        if self.heartbeat is not None:
            return self.heartbeat
        if self in _heartbeats:
            return _heartbeats[self]
        text = os.environ.get("KERN_HEARTBEAT", "15")
        try:
            return float(text)
        except ValueError:
            raise ConfigurationError(
                f"KERN_HEARTBEAT must be a number of seconds, not {text!r}."
            ) from None


_KEYWORDS = (
    *("db_url", "session_table", "db_schema", "pool_size", "listen_url", "statement_cache"),
    *("heartbeat", "db_engine"),
)

_targets: Registry[Store] = Registry()
_heartbeats: WeakKeyDictionary[_Target, float] = WeakKeyDictionary()
