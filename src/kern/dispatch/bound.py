"""A bound on the runs of an agent that wait to be executed."""

import asyncio

from kern.db.base import Store
from kern.errors import QueueFullError

# How long a count is relied on, in seconds; other processes submit as well.
_FRESH = 1.0


class Bound:
    """Refuses runs once too many of an agent wait.

    The count is read once a second at most, and again before a run is refused: processes that
    submit at the same moment may exceed the bound by what they submit within that second.
    """

    def __init__(self, store: Store) -> None:
        """Count nothing yet."""
        self._store = store
        self._free: dict[str, int] = {}
        self._until: dict[str, float] = {}

    async def check(self, agent_id: str, limit: int) -> None:
        """Count one more run of the agent.

        Args:
            agent_id: the agent.
            limit: how many of its runs may wait.

        Raises:
            QueueFullError: as many wait already.
        """
        now = asyncio.get_running_loop().time()
        if self._free.get(agent_id, 0) <= 0 or now > self._until[agent_id]:
            self._free[agent_id] = limit - await self._store.queued(agent_id)
            self._until[agent_id] = now + _FRESH
        if self._free[agent_id] <= 0:
            raise QueueFullError(
                f"{limit} runs of the agent {agent_id!r} wait already, which is its "
                "max_queued_runs. Try again later, raise the bound, or start more workers."
            )
        self._free[agent_id] -= 1
