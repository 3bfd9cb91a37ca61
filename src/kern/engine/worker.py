"""The worker inside a process: takes runs from the queue and has them executed."""

import asyncio
import logging
import os
import signal
import threading

from kern.db.base import Store
from kern.engine.attempt import Attempt
from kern.engine.definition import Definition
from kern.engine.executor import Executor
from kern.engine.journal import Journal
from kern.engine.notices import Notices
from kern.engine.patience import patiently
from kern.engine.queue import Queue
from kern.engine.tasks import Tasks
from kern.errors import DatabaseError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import RunRecord

logger = logging.getLogger("kern")

# How long the runs in flight may take to be let go when the process is asked to end, in seconds.
_GRACE = 10.0


class Worker:
    """Executes the queued runs of the agents that this event loop serves."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        executor: Executor,
        notices: Notices,
        tasks: Tasks,
        heartbeat: float,
    ) -> None:
        """Serve nobody yet.

        Args:
            store: where the runs are.
            queue: what delivers them.
            executor: what executes them.
            notices: who is told of them.
            tasks: where to work.
            heartbeat: seconds for which a claimed run is protected from others.
        """
        self._store = store
        self._queue = queue
        self._executor = executor
        self._notices = notices
        self._tasks = tasks
        self._heartbeat = heartbeat
        self._definitions: dict[str, Definition] = {}
        self._consuming: asyncio.Task[None] | None = None

    def serve(self, definition: Definition) -> None:
        """Execute queued runs of this agent here, from now on."""
        known = self._definitions.get(definition.id)
        self._definitions[definition.id] = definition
        if known is None:
            self._queue.serve(definition.id)
            self._tasks.start(self.refill())
        if self._consuming is None:
            self._consuming = self._tasks.start(self._consume())
            self._let_go_at_sigterm()

    async def refill(self) -> None:
        """Put what waits in the database into a queue that does not outlive its process."""
        if self._definitions and not self._store.enqueues:
            agents = list(self._definitions)
            for run_id, agent_id in await patiently(lambda: self._store.unfinished(agents)):
                await self._queue.enqueue(run_id, agent_id)

    async def _consume(self) -> None:
        await patiently(self._notices.listen)
        await self._queue.consume(self._deliver)

    async def _deliver(self, run_id: str) -> float | None:
        """Execute a run that the queue hands over; say when to hand it over again, if at all."""
        record = await patiently(lambda: self._store.claim(run_id, self._heartbeat))
        if record is None:
            current = await patiently(lambda: self._store.get(run_id))
            # Somebody executes it; should they be lost, it must not take long to be noticed.
            elsewhere = current is not None and current.status is RunStatus.running
            return min(1.0, self._heartbeat / 4) if elsewhere else None
        if record.status is RunStatus.running:
            try:
                await self._executor.execute(self._attempt(record), record.last_seq)
            except DatabaseError:
                logger.exception("the end of run %s could not be stored", run_id)
                return self._heartbeat
        self._notices.tell(run_id)
        return None

    def _attempt(self, record: RunRecord) -> Attempt:
        output = RunOutput.from_record(record)
        journal = Journal(
            self._store, output, record.attempt, record.last_seq, None, record.streamed
        )
        return Attempt(
            self._definitions[record.agent_id],
            record.input or "",
            output,
            self._store,
            journal,
            record.attempt,
        )

    def _let_go_at_sigterm(self) -> None:
        """Hand the runs in flight over at once when the process is asked to end.

        Only where nobody else has a say in it: a server that has a handler of its own ends its
        event loop in good order.
        """
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(
                signal.SIGTERM, lambda: self._tasks.start(self._let_go_and_end())
            )

    async def _let_go_and_end(self) -> None:
        assert self._consuming is not None
        self._consuming.cancel()
        await self._executor.let_go()
        await asyncio.wait({self._consuming}, timeout=_GRACE)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
