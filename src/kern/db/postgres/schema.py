"""The tables in PostgreSQL: made and migrated on first use, forward only."""

from collections.abc import Sequence

import asyncpg

from kern.db.base import TablesVersion
from kern.db.postgres.names import Names
from kern.errors import ConfigurationError, SchemaVersionError

# One list of statements a version; what has been released is never changed, only added to.
_MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """
CREATE TABLE {sessions} (
    session_id text PRIMARY KEY,
    agent_id text NOT NULL,
    user_id text,
    session_state json,
    metadata json,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)""",
        # The fill factor leaves room on the page for the row's next versions (claim, settle).
        """
CREATE TABLE {runs} (
    run_id text PRIMARY KEY,
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    session_id text,
    agent_id text,
    user_id text,
    parent_run_id text,
    status text NOT NULL CHECK (
        status IN ('PENDING', 'RUNNING', 'PAUSED', 'COMPLETED', 'ERROR', 'CANCELLED')),
    attempt integer NOT NULL DEFAULT 0,
    input json,
    output json,
    error json,
    usage json,
    metadata json,
    priority integer NOT NULL DEFAULT 0,
    run_at timestamptz,
    timeout double precision,
    watched boolean NOT NULL DEFAULT false,
    streamed boolean NOT NULL DEFAULT false,
    lease_until timestamptz,
    cancel_requested_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 80)""",
        "CREATE INDEX ON {runs} (session_id, position)",
        "CREATE INDEX ON {runs} (parent_run_id) WHERE parent_run_id IS NOT NULL",
        """
CREATE TABLE {events} (
    run_id text NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, seq)
)""",
    ),
    (
        # Who has the session's turn, and how often it was asked for; see docs/decisions/0009.
        "ALTER TABLE {sessions} ADD COLUMN turn text, ADD COLUMN asked bigint NOT NULL DEFAULT 0",
        "ALTER TABLE {sessions} SET (fillfactor = 80)",
        # A waiting run has no entry in the queue: what it waits for will give it one.
        """
ALTER TABLE {runs}
    ADD COLUMN ordered boolean NOT NULL DEFAULT false,
    ADD COLUMN waiting boolean NOT NULL DEFAULT false,
    ADD COLUMN lane text,
    ADD COLUMN max_attempts integer,
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN webhook text,
    ADD COLUMN webhook_delivered_at timestamptz""",
        "CREATE INDEX ON {runs} (session_id, position) WHERE waiting",
        "CREATE INDEX ON {runs} (lane, priority DESC, position) WHERE lane IS NOT NULL",
        "CREATE UNIQUE INDEX ON {runs} (position)",
        """
CREATE TABLE {slots} (
    lane text NOT NULL,
    run_id text NOT NULL,
    PRIMARY KEY (lane, run_id)
)""",
        """
CREATE TABLE {schedules} (
    name text PRIMARY KEY,
    agent_id text NOT NULL,
    input json NOT NULL,
    cron text NOT NULL,
    timezone text NOT NULL,
    missed text NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    session_id text,
    user_id text,
    metadata json,
    paused boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
)""",
        "CREATE INDEX ON {schedules} (next_at) WHERE NOT paused",
    ),
    (
        # PgQueuer's own trigger notifies of every statement, also where it changed nothing, and
        # wakes all that listen; see docs/decisions/0014.
        """
CREATE OR REPLACE FUNCTION "{schema}".fn_kern_queue_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE execute_after <= now()) THEN
        PERFORM pg_notify('{queue_channel}', json_build_object('channel', '{queue_channel}',
            'operation', 'insert', 'sent_at', now(), 'table', TG_TABLE_NAME,
            'type', 'table_changed_event')::text);
    END IF;
    RETURN NULL;
END $$""",
        "DROP TRIGGER IF EXISTS {queue_trigger} ON {queue}",
        """
CREATE TRIGGER {queue_trigger} AFTER INSERT ON {queue} REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".fn_kern_queue_due()""",
        # Whose answer was lost finds by it what was accepted; see docs/decisions/0014.
        "ALTER TABLE {runs} ADD COLUMN executor text",
    ),
)


async def migrate(connection: asyncpg.Connection, names: Names) -> None:
    """Bring the tables of ``names`` to this version of kern.

    Safe when many processes start at once: one makes the changes, the others wait for it.

    Raises:
        ConfigurationError: the schema's name cannot be used.
        SchemaVersionError: the tables are newer than this version of kern.
    """
    if await _version(connection, names) == len(_MIGRATIONS):
        return
    from kern.db.queue_tables import queue_settings

    async with connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"kern/{names.schema}"
        )
        version = await _version(connection, names)
        if version is None:
            await _begin(connection, names)
        queue = queue_settings(names.schema)
        for statements in _MIGRATIONS[version or 0 :]:
            for statement in statements:
                await connection.execute(
                    statement.format(
                        sessions=names.sessions,
                        runs=names.runs,
                        events=names.events,
                        slots=names.slots,
                        schedules=names.schedules,
                        schema=names.schema,
                        queue=names.queue,
                        queue_channel=queue.channel,
                        queue_trigger=queue.trigger,
                    )
                )
        await connection.execute(
            f"INSERT INTO {names.versions} VALUES ($1, $2) "
            "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            names.session_table,
            len(_MIGRATIONS),
        )


async def tables_version(connection: asyncpg.Connection, names: Names) -> TablesVersion:
    """Return the version of the tables of ``names``, which are left as they are."""
    return TablesVersion(await _found_version(connection, names), len(_MIGRATIONS))


async def _found_version(connection: asyncpg.Connection, names: Names) -> int | None:
    # Not to_regclass(): after the wait for the lock it answers as it would have before.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2)",
        names.schema,
        "kern_versions",
    ):
        return None
    version: int | None = await connection.fetchval(
        f"SELECT version FROM {names.versions} WHERE name = $1", names.session_table
    )
    return version


async def _begin(connection: asyncpg.Connection, names: Names) -> None:
    # PgQueuer writes the schema without quotes.
    if await connection.fetchval(
        "SELECT catcode <> 'U' FROM pg_get_keywords() WHERE word = $1", names.schema
    ):
        raise ConfigurationError(f"db_schema {names.schema!r} is a word of SQL. Choose another.")
    # Not IF NOT EXISTS: that needs the right to create schemas although there is one.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", names.schema
    ):
        await connection.execute(f'CREATE SCHEMA "{names.schema}"')
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {names.versions} "
        "(name text PRIMARY KEY, version integer NOT NULL)"
    )
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    from kern.db.queue_tables import queue_queries

    queries = queue_queries(AsyncpgDriver(connection), names.schema)
    if not await queries.schema_is_installed():
        await queries.install(create_schema=False)


async def _version(connection: asyncpg.Connection, names: Names) -> int | None:
    version = await _found_version(connection, names)
    if version is not None and version > len(_MIGRATIONS):
        raise SchemaVersionError(
            f"The tables of {names.sessions} have version {version}; this kern knows versions up "
            f"to {len(_MIGRATIONS)}. Upgrade kern, or name another session_table."
        )
    return version
