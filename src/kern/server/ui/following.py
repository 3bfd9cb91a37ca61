"""Notices when a run moves on, for who shows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from kern.agent.definition import runtime_of
from kern.db.base import Store
from kern.errors import JournalError
from kern.run.base import RunStatus
from kern.server.service import AnyAgent

# How often a run is looked at that tells nothing, in seconds.
_LOOK = 1.0

# How long a change waits for others, in seconds.
_TOGETHER = 0.2

_LIVE = (RunStatus.pending, RunStatus.running)


async def changes_of(agent: AnyAgent, store: Store, run_id: str) -> AsyncIterator[None]:
    """Yield whenever a run may have moved on; its text is streamed meanwhile.

    Args:
        agent: an agent in the run's database.
        store: that database.
        run_id: the run.
    """
    following = _Following(agent, store, run_id)
    reading = asyncio.create_task(following.read())
    try:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if following.has_ended else _LOOK):
                    await following.changed.wait()
            following.changed.clear()
            if reading.done():
                await reading  # It has failed.
            yield
            await asyncio.sleep(_TOGETHER)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)  # Nobody looks any more.


class _Following:
    """Reads what a run tells, and looks at how it stands while it tells nothing."""

    def __init__(self, agent: AnyAgent, store: Store, run_id: str) -> None:
        self.changed = asyncio.Event()
        self.has_ended = False
        self._agent = agent
        self._store = store
        self._run_id = run_id

    async def read(self) -> None:
        try:
            runtime = await runtime_of(self._agent)
            after = 0
            while True:
                if await self._stands() in _LIVE:
                    # Of a damaged journal the timeline says what is wrong.
                    with suppress(JournalError):
                        async with aclosing(runtime.stream(self._run_id, after)) as events:
                            async for event in events:
                                after = event.seq
                                self.changed.set()
                    await self._stands()
                await asyncio.sleep(_LOOK)
        finally:
            self.changed.set()

    async def _stands(self) -> RunStatus | None:
        """Return where the run is; None where it has ended."""
        standing = next(iter(await self._store.overview.standings([self._run_id])), None)
        has_ended = standing is None
        if has_ended is not self.has_ended:
            self.has_ended = has_ended
            self.changed.set()
        return None if standing is None else standing.status
