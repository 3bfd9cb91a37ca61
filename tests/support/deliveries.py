"""A worker in small: what the queue offers is claimed, step by step, as the test says."""

from collections.abc import Sequence

from stores import LEASE, ending, settled_as

from kern.db.base import Store
from kern.db.queue import Entry
from kern.db.values import Accepted, Claim
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord


class Deliveries:
    """What a worker does with the queue of one or more stores of a database."""

    def __init__(
        self,
        *stores: Store,
        agents: Sequence[str] = ("agent", "other"),
        agent_limit: int | None = None,
        user_limit: int | None = None,
    ) -> None:
        """Work on these one after another, and keep the limits."""
        self._stores = stores
        self._agents = agents
        self._calls = 0
        self.claim = Claim("worker", LEASE, agent_limit, user_limit)

    @property
    def store(self) -> Store:
        """The next of the stores."""
        self._calls += 1
        return self._stores[self._calls % len(self._stores)]

    async def submit(self, run: NewRun) -> Accepted | None:
        """Accept a run."""
        return await self.store.submit(run)

    async def offered(self, *, children_only: bool = False) -> list[str]:
        """Return which runs the queue offers, and leave them there."""
        store = self.store
        entries = await store.queue.dequeue(self._agents, 1000, children_only=children_only)
        for entry in entries:
            await store.queue.put_back(entry, 0.0)
        return [entry.run_id for entry in entries]

    async def take(self) -> Entry | None:
        """Take the next entry."""
        entries = await self.store.queue.dequeue(self._agents, 1)
        return entries[0] if entries else None

    async def deliver(self) -> RunRecord | None:
        """Claim what the queue offers until one is to be executed."""
        while entry := await self.take():
            record = await self.store.claim(entry.run_id, self.claim)
            await self.store.queue.acknowledge(entry)
            if record is not None and record.status is RunStatus.running:
                return record
        return None

    async def end(
        self, record: RunRecord, status: RunStatus = RunStatus.completed
    ) -> RunStatus | None:
        """End an attempt, and let those go on who have waited for a limit."""
        settled = await self.store.settle(ending(record.run_id, record.attempt, status))
        await self.make_due(record.run_id)
        return settled_as(settled)

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run, and let those go on who have waited for a limit."""
        cancelled = await self.store.cancel(run_id)
        await self.make_due(run_id)
        return cancelled

    async def make_due(self, run_id: str) -> None:
        """Let those go on who have waited for the limits of a run."""
        run = await self.store.get(run_id)
        if run is not None and self.claim.is_limited:
            await self.store.make_due(run.agent_id, run.user_id, self.claim)

    async def execute_all(self) -> list[str]:
        """Execute what the queue offers and what comes after that; return the runs in order."""
        executed = []
        while record := await self.deliver():
            executed.append(record.run_id)
            await self.end(record)
        return executed
