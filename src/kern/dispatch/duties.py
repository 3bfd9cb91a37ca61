"""What an event loop does beside its runs once it executes any: listen, sweep, schedule, send."""

import asyncio
from contextlib import suppress

from kern.aio.retry import until_available
from kern.dispatch.here import Here
from kern.dispatch.maintenance import Maintenance
from kern.dispatch.scheduler import Scheduler
from kern.dispatch.submission import Submission
from kern.dispatch.telling import tell_parent
from kern.dispatch.upkeep import Upkeep
from kern.errors import DatabaseError
from kern.webhooks.sender import Sender

FAREWELL = 2.0
"""How long a process that ends tries to be forgotten, and lets hooks end, in seconds."""


class Duties:
    """The duties of one event loop.

    Attributes:
        scheduler: begins runs by the clock.
        sender: sends webhooks.
    """

    def __init__(self, here: Here, submission: Submission, upkeep: Upkeep) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            submission: what accepts runs.
            upkeep: what is done for all.
        """
        store, settings = here.store, here.settings
        self._store = store
        self._name = here.name
        self._subscriptions = here.subscriptions
        self._upkeep = upkeep
        self._tasks = here.tasks
        self.scheduler = Scheduler(
            store.schedules,
            lambda run: submission.placed(run, submission.accept),
            here.subscriptions.listen,
        )
        self.sender: Sender = Sender(store, settings.heartbeat, tell_parent)
        self._maintenance = Maintenance(
            store.retention,
            sweep=upkeep.sweep,
            pause=settings.heartbeat / 3,
            keep=settings.retention,
        )
        self._running: list[asyncio.Task[None]] = []

    @property
    def are_done(self) -> bool:
        """Whether they are done at the moment."""
        return bool(self._running)

    def begin(self) -> None:
        """Do them from now on."""
        self._running = [
            self._tasks.start(self._listen()),
            self._tasks.start(self.scheduler.run()),
            self._tasks.start(self._maintain()),
            self._tasks.start(self.sender.run()),
        ]

    async def end(self) -> None:
        """Do them no more."""
        running, self._running = self._running, []
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running)

    async def _maintain(self) -> None:
        try:
            await self._maintenance.run()
        finally:
            # At the end of the event loop it is only here that the database can be asked something.
            with suppress(DatabaseError, TimeoutError):  # It is not seen alive, either way.
                async with asyncio.timeout(FAREWELL):
                    await self._store.processes.leave(self._name)

    async def _listen(self) -> None:
        await until_available(self._subscriptions.listen)
        await until_available(self._upkeep.beat)
