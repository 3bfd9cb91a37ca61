"""A worker in small: what waits in the queue is claimed, step by step, as the test says."""

from datetime import UTC, datetime, timedelta

from stores import LEASE, ending

from kern.db.base import Accepted, Store
from kern.db.postgres.store import PostgresStore
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord

_AGAIN = timedelta(milliseconds=20)
_NEVER = datetime.fromtimestamp(0, UTC)


class Deliveries:
    """The queue of one or more stores of a database, and what a worker does with it."""

    def __init__(self, *stores: Store, user_limit: int | None = None) -> None:
        """Work on these in turn; a user may have ``user_limit`` runs executing at once."""
        self._stores = stores
        self._user_limit = user_limit
        self._turns = 0
        self._entries: list[tuple[str, datetime | None]] = []

    @property
    def store(self) -> Store:
        """The stores in turn."""
        self._turns += 1
        return self._stores[self._turns % len(self._stores)]

    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run, and put it into the queue where it belongs there."""
        accepted = await self.store.submit(run)
        if accepted is not None and accepted.status is RunStatus.pending and not accepted.waiting:
            self.put(run.run_id, run.run_at)
        return accepted

    def put(self, run_id: str, run_at: datetime | None = None) -> None:
        """Put a run into the queue, where the store does not."""
        if not self._stores[0].enqueues:
            self._entries.append((run_id, run_at))

    async def entries(self) -> list[str]:
        """Return what is in the queue."""
        if not isinstance(store := self.store, PostgresStore):
            return [run_id for run_id, _ in self._entries]
        rows = await store.pool.fetch(
            f"SELECT convert_from(payload, 'UTF8') AS run_id FROM {store.names.queue} "
            "WHERE starts_with(entrypoint, $1) ORDER BY priority DESC, id",
            f"{store.names.session_table}/",
        )
        return [row["run_id"] for row in rows]

    async def take(self) -> str | None:
        """Take the next entry out of the queue."""
        if not isinstance(store := self.store, PostgresStore):
            for entry in self._entries:
                if entry[1] is None or entry[1] <= datetime.now(UTC):
                    self._entries.remove(entry)
                    return entry[0]
            return None
        taken: str | None = await store.pool.fetchval(
            f"DELETE FROM {store.names.queue} WHERE id = (SELECT id FROM {store.names.queue} "
            "WHERE starts_with(entrypoint, $1) AND execute_after <= now() "
            "ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) "
            "RETURNING convert_from(payload, 'UTF8')",
            f"{store.names.session_table}/",
        )
        return taken

    async def drop(self, run_id: str) -> None:
        """Take every entry of a run out of the queue."""
        self._entries = [entry for entry in self._entries if entry[0] != run_id]
        if isinstance(store := self.store, PostgresStore):
            await store.pool.execute(
                f"DELETE FROM {store.names.queue} WHERE payload = convert_to($1, 'UTF8')", run_id
            )

    async def put_back(self, run_id: str, run_at: datetime | None = None) -> None:
        """Have an entry delivered again that was taken."""
        self.put(run_id, run_at)
        if isinstance(store := self.store, PostgresStore):
            await store.pool.execute(
                f"INSERT INTO {store.names.queue} "
                "(priority, entrypoint, payload, status, execute_after) "
                "VALUES (0, $1, convert_to($2, 'UTF8'), 'queued', coalesce($3, now()))",
                f"{store.names.session_table}/agent",
                run_id,
                run_at,
            )

    async def deliver(self) -> RunRecord | None:
        """Claim the runs in the queue until one is to be executed."""
        while run_id := await self.take():
            if record := await self.deliver_run(run_id):
                return record
        return None

    async def deliver_run(self, run_id: str) -> RunRecord | None:
        """Claim a run whose entry was taken, and put it back where that may be the last one."""
        record = await self.store.claim(run_id, LEASE, self._user_limit)
        if record is not None and record.status is RunStatus.running:
            return record
        found = await self.store.get(run_id)
        if found is None or found.status.is_terminal:
            await self.follow(run_id)
        elif not found.waiting and found.status is not RunStatus.paused:
            await self.put_back(run_id, max(found.run_at or _NEVER, datetime.now(UTC) + _AGAIN))
        return None

    async def end(
        self, record: RunRecord, status: RunStatus = RunStatus.completed
    ) -> RunStatus | None:
        """End an attempt, and let those go on who have waited for it."""
        settled = await self.store.settle(ending(record.run_id, record.attempt, status))
        await self.follow(record.run_id)
        return settled

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run, and let those go on who have waited for it."""
        cancelled = await self.store.cancel(run_id)
        await self.follow(run_id)
        return cancelled

    async def follow(self, run_id: str) -> None:
        """Let those go on who have waited for a run."""
        run = await self.store.get(run_id)
        if run is not None:
            for other, _ in await self.store.admit(
                run.session_id, run.agent_id, run.user_id, self._user_limit
            ):
                self.put(other)

    async def execute_all(self) -> list[str]:
        """Execute what is in the queue and what comes after that; return the runs in order."""
        executed = []
        while record := await self.deliver():
            executed.append(record.run_id)
            await self.end(record)
        return executed
