"""Moving time for a run: its executor counts as lost from now on."""

from stores import execute, sweep

from kern.db.base import Database


async def expire(db: Database, run_id: str) -> None:
    """Let the lease of a running run expire, and be noticed."""
    store = await db.store()
    past = "UPDATE {runs} SET lease_until = created_at WHERE run_id = {1} AND status = 'RUNNING'"
    await execute(store, f"{past} RETURNING run_id", run_id)
    await sweep(store)
