"""Moving time for a run: its executor counts as lost from now on."""

import asyncio

from stores import execute, sweep

from kern.db.database import Database
from kern.db.postgres.store import PostgresStore
from kern.run.base import RunStatus


async def expire(db: Database, run_id: str) -> None:
    """Let a run's lease, and what its executor has taken from the queue, expire; notice it."""
    store = await db.store()
    if isinstance(store, PostgresStore):
        taken = f"UPDATE {store.names.queue} SET heartbeat = now() - interval '1 hour' WHERE status"
        await store.pool.execute(
            f"{taken} = 'picked' AND convert_from(payload, 'UTF8') = $1", run_id
        )
    before = found = await store.get(run_id)
    past = "UPDATE {runs} SET lease_until = created_at WHERE run_id = {1} AND status = 'RUNNING'"
    async with asyncio.timeout(20):
        # A process that sweeps beside this one may hold expiry back for a moment.
        while found is not None and found.status is RunStatus.running and found == before:
            # The heart of an executor that lives may extend the lease meanwhile.
            await execute(store, f"{past} AND attempt = {found.attempt} RETURNING run_id", run_id)
            await sweep(store)
            found = await store.get(run_id)
    await sweep(store)
