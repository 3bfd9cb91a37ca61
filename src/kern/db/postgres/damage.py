"""Finds what is broken in the tables of kern and its queue, for ``kern db status``.

A failover loses what was never written to PostgreSQL's log, and a restore may leave things out.
Then statements fail one by one, somewhere; here it is said at once, with what to do.
"""

import asyncpg

from kern.db.postgres.names import Names
from kern.db.queue_tables import queue_queries, queue_settings

# Tables, each followed by the sequences of its columns.
_RELATIONS = """
SELECT found.oid::regclass::text AS name, found.relpersistence = 'u' AS is_unlogged,
    found.relkind = 'S' AS is_sequence, owner.oid::regclass::text AS owner,
    quote_ident(numbered.attname) AS numbered
FROM pg_class AS found
LEFT JOIN pg_depend AS dependency ON found.relkind = 'S' AND dependency.objid = found.oid
    AND dependency.classid = 'pg_class'::regclass AND dependency.refclassid = 'pg_class'::regclass
    AND dependency.deptype IN ('a', 'i')
LEFT JOIN pg_class AS owner ON owner.oid = dependency.refobjid
LEFT JOIN pg_attribute AS numbered
    ON numbered.attrelid = owner.oid AND numbered.attnum = dependency.refobjsubid
WHERE found.relkind IN ('r', 'S') AND coalesce(owner.oid, found.oid) = ANY ($1::oid[])
ORDER BY coalesce(owner.relname, found.relname), found.relkind = 'S'"""


async def find_damage(connection: asyncpg.Connection, names: Names) -> list[str]:
    """Return what is broken, a sentence each, with what to do about it.

    Args:
        connection: to the database, outside of a transaction.
        names: the tables; they have been made.
    """
    known = [
        *(names.sessions, names.runs, names.events, names.webhooks, names.processes),
        *(names.tick, names.blobs, names.schedules, names.keys, names.figures, names.queue),
        *(names.memories, names.components, names.contents),
        *(f'"{names.schema}"."{table}"' for table in _other_queue_tables(names.schema)),
    ]
    found = await connection.fetch(
        "SELECT name, to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS name", known
    )
    damage = [
        f"The table {row['name']} is missing: restore it from a backup."
        for row in found
        if row["oid"] is None
    ]
    oids = [row["oid"] for row in found if row["oid"] is not None]
    for relation in await connection.fetch(_RELATIONS, oids):
        damage += await _damage_of(connection, relation)
    if not damage:
        damage += await _missing_parts(connection, names)
    return damage


async def _damage_of(connection: asyncpg.Connection, relation: asyncpg.Record) -> list[str]:
    name = relation["name"]
    if not relation["is_sequence"]:
        damage = await _unreadable(connection, "table", name)
        if relation["is_unlogged"]:
            damage.append(
                f"The table {name} is unlogged: a crash of PostgreSQL empties it, and a failover "
                f"breaks it. Run ALTER TABLE {name} SET LOGGED."
            )
        return damage
    if damage := await _unreadable(connection, "sequence", name):
        return damage
    owner, column = relation["owner"], relation["numbered"]
    highest = f"SELECT max({column}) FROM {owner}"
    try:
        behind = await connection.fetchval(f"SELECT ({highest}) > last_value FROM {name}")
    except asyncpg.PostgresError:
        return []  # The table cannot be read, and is named for it.
    if not behind:
        return []
    return [
        f"The sequence {name} is behind {column} of {owner}, so inserts fail. "
        f"Run SELECT setval('{name}', ({highest}))."
    ]


async def _unreadable(connection: asyncpg.Connection, kind: str, name: str) -> list[str]:
    try:
        await connection.fetch(f"SELECT * FROM {name} LIMIT 1")
    except asyncpg.InsufficientPrivilegeError:
        return [f"The {kind} {name} is not this user's to read: grant it, as to its owner."]
    except asyncpg.PostgresError as error:
        return [f"The {kind} {name} cannot be read: {error}. Restore it from a backup."]
    return []


async def _missing_parts(connection: asyncpg.Connection, names: Names) -> list[str]:
    """Return which functions, triggers and indexes of the queue are missing."""
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    plan = await queue_queries(AsyncpgDriver(connection), names.schema).plan_upgrade()
    damage = [
        f"The queue is not as PgQueuer needs it. Run {' '.join(statement.split()).rstrip(';')}."
        for statement in plan.statements
    ]
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace($1) "
        "AND proname = 'kern_enqueue')",
        f'"{names.schema}"',
    ):
        damage.append(f"The function {names.enqueue} is missing: kern db migrate --sql prints it.")
    return damage


def _other_queue_tables(schema: str) -> list[str]:
    settings = queue_settings(schema)
    return [settings.queue_table_log, settings.statistics_table, settings.schedules_table]
