"""Moving time for a run: its executor counts as lost from now on."""

from stores import execute, sweep

from kern.db.base import Database
from kern.db.postgres.store import PostgresStore


async def expire(db: Database, run_id: str) -> None:
    """Let a run's lease, and what its executor has taken from the queue, expire; notice it."""
    store = await db.store()
    past = "UPDATE {runs} SET lease_until = created_at WHERE run_id = {1} AND status = 'RUNNING'"
    await execute(store, f"{past} RETURNING run_id", run_id)
    if isinstance(store, PostgresStore):
        taken = f"UPDATE {store.names.queue} SET heartbeat = now() - interval '1 hour' WHERE status"
        await store.pool.execute(
            f"{taken} = 'picked' AND convert_from(payload, 'UTF8') = $1", run_id
        )
    await sweep(store)
