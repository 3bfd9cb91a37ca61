"""The worker inside a process: takes runs from the queue and has them executed."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from kern.aio.retry import until_available
from kern.aio.tasks import Tasks
from kern.db.base import Accepted, Store
from kern.dispatch.queue import WEBHOOKS, Queue, topic_of
from kern.dispatch.signals import Notices
from kern.errors import DatabaseError
from kern.execution.attempt import Attempt
from kern.execution.definition import Definition
from kern.execution.executor import Executor
from kern.execution.journal import Journal
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import NewRun, RunRecord
from kern.webhooks.delivery import deliver_webhook

logger = logging.getLogger("kern")

# How long the runs in flight may take to be let go when the process is asked to end, in seconds.
_PATIENCE = 10.0

# How long to wait before an entry is delivered again whose run is not over, in seconds.
_AGAIN = 1.0


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
        self._begun: set[str] = set()
        self._here: set[str] = set()
        self._consuming: asyncio.Task[None] | None = None

    def serve(self, definition: Definition) -> None:
        """Execute queued runs of this agent here, from now on."""
        known = self._definitions.get(definition.id)
        self._definitions[definition.id] = definition
        if known is None:
            deliver, most = partial(self._deliver, definition.id), definition.max_concurrent_runs
            self._queue.serve(topic_of(definition.id), deliver, most)
            self._tasks.start(self.refill())
        if self._consuming is None:
            self._queue.serve(WEBHOOKS, partial(deliver_webhook, self._store), counts=False)
            self._consuming = self._tasks.start(self._consume())
            self._let_go_at_sigterm()

    @contextmanager
    def place(self, definition: Definition, run: NewRun) -> Iterator[float | None]:
        """Hold a place for a run that may begin here as soon as it is accepted.

        Yields:
            The seconds of its lease; None where it has to go through the queue, in which the
            limits of agents and users are kept.
        """
        limited = definition.max_concurrent_runs is not None or (
            run.user_id is not None and definition.max_concurrent_runs_per_user is not None
        )
        if (
            limited
            or run.run_at is not None
            or definition.id not in self._definitions
            or not self._queue.take_place()
        ):
            yield None
            return
        try:
            yield self._heartbeat
        finally:
            if run.run_id in self._begun:
                self._begun.remove(run.run_id)  # The place is the run's own by now.
            else:
                self._queue.give_place_back()

    def begin(self, run: NewRun, accepted: Accepted) -> None:
        """Execute a run that was accepted for this process, in a place that is held for it."""
        record = RunRecord(
            run.run_id,
            run.session_id,
            run.agent_id,
            run.user_id,
            accepted.status,
            attempt=1,
            created_at=accepted.created_at,
            started_at=accepted.created_at,
            metadata=run.metadata,
            priority=run.priority,
            timeout=run.timeout,
            max_attempts=run.max_attempts,
            webhook=run.webhook,
            input=run.input,
            streamed=run.streamed,
        )
        self._begun.add(run.run_id)
        self._here.add(run.run_id)
        task = self._tasks.start(self._execute_here(record))
        task.add_done_callback(lambda _: self._ended_here(run.run_id))

    def executes(self, run_id: str) -> bool:
        """Say whether a run executes here, or is just about to."""
        return run_id in self._here or self._executor.attempt(run_id) is not None

    def _ended_here(self, run_id: str) -> None:
        self._here.discard(run_id)
        self._queue.give_place_back()

    async def refill(self) -> None:
        """Put what waits in the database into a queue that does not outlive its process."""
        if not self._definitions or self._store.enqueues:
            return
        agents = list(self._definitions)
        for run in await until_available(lambda: self._store.unfinished(agents)):
            if not self.executes(run.run_id):
                await self._queue.enqueue(
                    run.run_id, topic_of(run.agent_id), priority=run.priority, run_at=run.run_at
                )
        for run_id in await until_available(self._store.untold):
            await self._queue.enqueue(run_id, WEBHOOKS)

    async def follow(self, record: RunRecord) -> None:
        """Let those go on who have waited for a run that has ended, and have its end told."""
        await self._admit(record)
        if record.webhook is not None and not self._store.enqueues:
            await self._queue.enqueue(record.run_id, WEBHOOKS, again=True)

    async def _admit(self, record: RunRecord) -> None:
        """Let those go on who have waited for a run that does not execute any more."""
        waiting = await until_available(
            lambda: self._store.admit(
                record.session_id,
                record.agent_id,
                record.user_id,
                self._user_limit(record.agent_id),
            )
        )
        for run_id, agent_id in waiting:
            await self._queue.enqueue(run_id, topic_of(agent_id), again=True)

    async def repair(self) -> None:
        """Let those go on whom a lost process has left waiting, or whose delivery has failed."""
        await self.refill()
        for agent_id, user_id in await self._store.repair():
            if self._user_limit(agent_id) is not None:
                await self._store.admit("", agent_id, user_id, self._user_limit(agent_id))

    async def stop(self, grace: float) -> None:
        """Take nothing new, and let go of what has not ended after a time.

        Args:
            grace: how long the runs in flight are given, in seconds.
        """
        self._queue.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._executor.idle()
        await self._end()

    async def _consume(self) -> None:
        await until_available(self._notices.listen)
        await self._queue.consume()

    async def _deliver(self, agent_id: str, run_id: str, _tries: int) -> float | None:
        """Execute a run that the queue hands over; say when to hand it over again, if at all."""
        limit = self._user_limit(agent_id)
        record = await until_available(lambda: self._store.claim(run_id, self._heartbeat, limit))
        if record is None:
            return await self._later(run_id)
        if record.status is RunStatus.running:
            return await self._execute(record)
        self._notices.tell(run_id)
        await self.follow(record)
        return None

    async def _execute_here(self, record: RunRecord) -> None:
        """Execute a run that the queue has not handed over."""
        again = await self._execute(record)
        if again is not None and not self._store.enqueues:
            run_at = datetime.now(UTC) + timedelta(seconds=again)
            await self._queue.enqueue(
                record.run_id, topic_of(record.agent_id), priority=record.priority, run_at=run_at
            )

    async def _execute(self, record: RunRecord) -> float | None:
        """Execute a run that was claimed here; say when it is to be delivered again, if at all."""
        attempt = self._attempt(record)
        try:
            await self._executor.execute(attempt, record.last_seq)
        except DatabaseError:
            logger.exception("the end of run %s could not be stored", record.run_id)
            return self._heartbeat
        finally:
            # Who waits here has not asked to be told by others, who may go on with the run.
            self._notices.tell(record.run_id)
        if attempt.output.status in (RunStatus.pending, RunStatus.running):
            if attempt.postponed is not None:
                await self._admit(record)
            return attempt.postponed or _AGAIN
        await self.follow(record)
        return None

    async def _later(self, run_id: str) -> float | None:
        """Say when to deliver a run again that could not be claimed.

        Its entry may be the only one that it has, so it is given up only where another one is
        certain to come, or none is needed any more.
        """
        record = await until_available(lambda: self._store.get(run_id))
        if record is None or record.status not in (RunStatus.pending, RunStatus.running):
            return None
        if record.waiting:
            return None
        # Somebody executes it; should they be lost, it must not take long to be noticed.
        again = min(_AGAIN, self._heartbeat / 4)
        if record.status is RunStatus.pending and record.run_at is not None:
            again = max(again, (record.run_at - datetime.now(UTC)).total_seconds())
        return again

    def _user_limit(self, agent_id: str) -> int | None:
        definition = self._definitions.get(agent_id)
        return None if definition is None else definition.max_concurrent_runs_per_user

    def _attempt(self, record: RunRecord) -> Attempt:
        output = RunOutput.from_record(record)
        journal = Journal(
            self._store, output, record.attempt, record.last_seq, None, record.streamed
        )
        remaining = record.timeout
        if remaining is not None and record.attempt > 1 and record.started_at is not None:
            remaining -= (datetime.now(UTC) - record.started_at).total_seconds()
        return Attempt(
            self._definitions[record.agent_id],
            record.input or "",
            output,
            self._store,
            journal,
            record.attempt,
            timeout=record.timeout,
            remaining=remaining,
            tries=max(0, (record.max_attempts or 1) - record.failures - 1),
            failures=record.failures,
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
        await self._end()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _end(self) -> None:
        """Let go of the background runs, and have the queue give their entries back."""
        if self._consuming is not None:
            self._consuming.cancel()
            await self._executor.let_go()
            await asyncio.wait({self._consuming}, timeout=_PATIENCE)
