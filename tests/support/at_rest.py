"""Everything that a database holds, as one text: what is not in it is nowhere at rest."""

from kern.db.base import Store
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.store import SqliteStore

_TABLES = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
WHERE schemaname = $1 AND (tablename = $2 OR starts_with(tablename, $2 || '_'))"""


async def at_rest(store: Store) -> str:
    """Return all rows of all tables as one text, bytes as hexadecimal digits."""
    if isinstance(store, PostgresStore):
        names = store.names
        tables = await store.pool.fetch(_TABLES, names.schema, names.session_table)
        rows = [
            row["found"]
            for table in tables
            for row in await store.pool.fetch(f"SELECT t::text AS found FROM {table['name']} AS t")
        ]
        rows += [
            str(dict(row))
            for row in await store.pool.fetch(
                f"SELECT * FROM {names.queue} WHERE starts_with(entrypoint, $1)",
                names.session_table,
            )
        ]
        return "\n".join(rows)
    assert isinstance(store, SqliteStore)

    def read(transaction: Transaction) -> str:
        tables = transaction.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return "\n".join(
            str([each.hex() if isinstance(each, bytes) else each for each in row])
            for table in tables.fetchall()
            for row in transaction.execute(f'SELECT * FROM "{table[0]}"')
        )

    return await store._file.read(read)


async def is_at_rest(store: Store, text: str) -> bool:
    """Say whether a text is somewhere in the database, also within bytes."""
    found = await at_rest(store)
    return text in found or text.encode().hex() in found
