"""A database in use on an event loop: runs are submitted, executed, stopped and awaited here."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import cast
from weakref import WeakKeyDictionary, ref

from kern.aio.guard import guard
from kern.aio.per_loop import PerLoop
from kern.aio.retry import patiently
from kern.aio.tasks import Tasks
from kern.db.base import Database, Kind, Signal, Store
from kern.dispatch.maintenance import Housekeeper
from kern.dispatch.queue import Queue
from kern.dispatch.scheduler import Scheduler
from kern.dispatch.settings import Settings
from kern.dispatch.signals import Notices
from kern.dispatch.streams import read_events
from kern.dispatch.submission import Intake, SessionPolicy, accepted_output
from kern.dispatch.worker import Worker
from kern.execution.attempt import Attempt
from kern.execution.cancellation import cancellations
from kern.execution.definition import Definition
from kern.execution.executor import Executor, Stop
from kern.execution.journal import Emit, Journal
from kern.models.base import Model
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.journal import read_row
from kern.run.record import NewRun

logger = logging.getLogger("kern")


class Runtime:
    """What one event loop does with one database."""

    def __init__(self, store: Store, queue: Queue, settings: Settings) -> None:
        """Use ``store`` and ``queue``; nothing is started before it is needed."""
        self.store = store
        self._settings = settings
        self._tasks = Tasks()
        self._executor = Executor()
        self._notices = Notices(store, self._tasks, self._hear)
        self._queue = queue
        self._worker = Worker(
            store, self._queue, self._executor, self._notices, self._tasks, settings.heartbeat
        )
        self._intake = Intake(
            store,
            self._queue,
            self.cancel,
            self._worker.begin,
            self._worker.executes,
        )
        self._name = token_hex(8)
        self._scheduler = Scheduler(store.schedules, self._intake.accept, self._notices.listen)
        self._housekeeper = Housekeeper(
            store.retention,
            repair=self._worker.repair,
            tidy=self._queue.tidy,
            heartbeat=settings.heartbeat,
            keep=settings.retention,
        )
        self._duties: list[asyncio.Task[None]] = []
        self._tell_reached: Callable[[bool], None] = lambda _: None
        self._tasks.start(self._beat())

    @classmethod
    async def of(cls, database: Database) -> "Runtime":
        """Return the running loop's use of ``database``, begun on first call."""
        per_loop = _runtimes.get(database)
        if per_loop is None:
            per_loop = _runtimes[database] = PerLoop(partial(cls._open, ref(database)))
        return await per_loop.get()

    @classmethod
    async def _open(cls, reference: ref[Database]) -> "AsyncGenerator[Runtime, None]":
        database = reference()  # Kept for as long as the loop lives, and no longer.
        assert database is not None, "a runtime is opened by one who holds the database"
        from kern.dispatch.pgqueuer import open_queue

        settings, store = Settings.from_environment(), await database.store()
        queue = open_queue(store, database.session_table, settings.heartbeat, settings.concurrency)
        runtime = cls(store, queue, settings)
        loop = asyncio.get_running_loop()

        def hand_over(run_id: str) -> Future[bool]:
            if loop.is_closed():  # It was left without being shut down.
                cancellations.unsubscribe(runtime)
                return _answer(False)
            return asyncio.run_coroutine_threadsafe(runtime.cancel(run_id), loop)

        for run_id in cancellations.subscribe(runtime, hand_over):
            await runtime.store.cancel(run_id)
        try:
            yield runtime
        finally:
            cancellations.unsubscribe(runtime)

    def serve(self, definition: Definition, *, explicitly: bool = False) -> None:
        """Execute queued runs of this agent here from now on, if this process executes any.

        Args:
            definition: the agent.
            explicitly: whether that is what the process is for, whatever its settings say.
        """
        if not explicitly and not self._settings.in_process_worker:
            return
        self._worker.serve(definition)
        if not self._duties:
            guard()
            self._duties = [
                self._tasks.start(self._scheduler.run()),
                self._tasks.start(self._housekeeper.run()),
            ]

    async def reach(self, tell: Callable[[bool], None]) -> None:
        """Wait until the database is listened to; then tell whenever it is lost, or back.

        Raises:
            DatabaseUnavailableError: it cannot be reached.
        """
        await self._notices.listen()
        self._tell_reached = tell

    async def stop(self, grace: float) -> None:
        """Execute nothing new, and let go of what has not ended after ``grace`` seconds."""
        duties, self._duties = self._duties, []
        for duty in duties:
            duty.cancel()
        if duties:
            await asyncio.wait(duties)
        await self._worker.stop(grace)

    async def submit(
        self, definition: Definition, run: NewRun, policy: SessionPolicy = "queue"
    ) -> RunOutput:
        """Accept a run into the queue; see :meth:`kern.dispatch.submission.Intake.submit`."""
        self.serve(definition)
        with self._worker.place(definition, run) as lease:
            if lease is not None:
                run = replace(run, lease=lease, executor=self._name)
            return await self._intake.submit(definition, run, policy)

    async def take_up(
        self, run_id: str, status: RunStatus, results: dict[str, str] | None = None
    ) -> RunOutput:
        """Have a run go on; see :meth:`kern.dispatch.submission.Intake.take_up`."""
        return await self._intake.take_up(run_id, status, results)

    async def fork(self, definition: Definition, run: NewRun, origin: str, seq: int) -> RunOutput:
        """Branch a run off another; see :meth:`kern.dispatch.submission.Intake.fork`."""
        self.serve(definition)
        return await self._intake.fork(run, origin, seq)

    async def execute(self, definition: Definition, run: NewRun, emit: Emit | None) -> RunOutput:
        """Accept a run and execute it here and now, for a caller who waits for it.

        Args:
            definition: the agent.
            run: the run.
            emit: told of each event, where the caller streams the run.

        Returns:
            The run as it ended.

        Raises:
            RunConflictError: the run id is in use for something else.
            DatabaseError: the run was not accepted, or its end not stored.
            Exception: what the run failed of; it is settled as ERROR by then.
        """
        await self._notices.listen()
        intended = cancellations.take_intent(run.run_id)
        run = replace(run, cancelled=intended, lease=self._settings.heartbeat)
        accepted = await self.store.submit(run)
        if accepted is None:
            await self._intake.same_run(run)
            ended = await self.wait(run.run_id, None)
            assert ended is not None
            return ended
        output = accepted_output(definition, run, accepted)
        if accepted.status is RunStatus.cancelled:
            return output
        journal = Journal(self.store, output, 1, 0, emit, run.streamed)
        attempt = Attempt(
            definition,
            run.input,
            output,
            self.store,
            journal,
            foreground=True,
            timeout=run.timeout,
            remaining=run.timeout,
        )
        try:
            await self._executor.execute(attempt)
        finally:
            self._notices.tell(run.run_id)
        if attempt.failure is not None and attempt.output.status is RunStatus.error:
            raise attempt.failure
        return attempt.output

    async def cancel(self, run_id: str, model: Model | None = None) -> bool:
        """Ask for the end of a run and its children; say whether it ends cancelled for this.

        Args:
            run_id: the run.
            model: the model of the run's agent, where that is known.
        """
        if not await self.store.cancel(run_id):
            return False
        if not self._executor.stop(run_id) and not self.store.enqueues:
            await self._worker.follow(await self._intake.found(run_id))
        for child in await self.store.children(run_id):
            await self.cancel(child)
        if model is not None and model.keeps_answers:
            await self._cancel_kept_answer(run_id, model)
        return True

    async def _cancel_kept_answer(self, run_id: str, model: Model) -> None:
        """Cancel what the provider still works at for a run that nobody executes any more."""
        record = await self.store.get(run_id)
        if record is None or record.status is not RunStatus.cancelled:
            return  # Its executor will do it.
        handle = None
        for row in await self.store.events(run_id, 0):
            event, payload = read_row(row)
            if event is RunEvent.model_request_started:
                handle = cast(str | None, payload.get("handle"))
            elif event is RunEvent.model_request_completed:
                handle = None
        if handle is not None:
            await model.cancel(handle)

    async def wait(self, run_id: str, timeout: float | None) -> RunOutput | None:
        """Wait for a run's end, and return the run; None where it is not known.

        Raises:
            TimeoutError: it had not ended after ``timeout`` seconds.
        """
        await self._notices.listen()
        async with asyncio.timeout(timeout):
            with self._notices.of(run_id) as told:
                await asyncio.sleep(0)  # A run that was just accepted begins to execute.
                while True:
                    attempt = self._executor.attempt(run_id)
                    if attempt is None:
                        # A run that comes after this would not be watched, so it is not known.
                        known = await self.store.watch(run_id)
                        record = await self.store.get(run_id) if known else None
                        if record is None:
                            return None
                        if record.status.is_terminal:
                            return RunOutput.from_record(record)
                    await told.wait()
                    told.clear()
                    if attempt is not None and attempt.is_settled:
                        return replace(attempt.output)

    async def stream(self, run_id: str, after: int) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events of a run from the number ``after`` on, until it ends or pauses.

        Raises:
            RunNotFoundError: there is no such run.
            JournalError: a row of its journal cannot be read.
        """
        await self._notices.listen()
        with self._notices.of(run_id) as told:
            async for event in read_events(self.store, run_id, after, told):
                yield event

    async def _beat(self) -> None:
        """Show that this process lives, and learn what happened to its runs unheard."""
        heartbeat = self._settings.heartbeat
        while True:
            await asyncio.sleep(heartbeat / 3)
            attempts = self._executor.attempts
            if not attempts:
                continue
            try:
                mine = await patiently(partial(self.store.extend, attempts, heartbeat))
            except Exception:  # Whatever it is, without a heart all runs here would be lost.
                logger.exception("the leases of %d runs were not extended", len(attempts))
                continue
            for run_id, attempt in attempts:
                if run_id not in mine:
                    self._executor.stop(run_id, Stop.overtaken, attempt)
                elif mine[run_id]:
                    self._executor.stop(run_id)

    def _hear(self, signal: Signal) -> None:
        match signal.kind:
            case Kind.cancel | Kind.read:
                self._executor.hear(signal.run_id, signal.kind)
            case Kind.news:
                self._notices.tell(signal.run_id)
            case Kind.schedule:
                self._scheduler.wake()
            case Kind.away:
                self._tell_reached(False)
            case Kind.again:
                self._tell_reached(True)
                self._scheduler.wake()
                self._tasks.start(self._catch_up())

    async def _catch_up(self) -> None:
        """Look for what signals may have told unheard."""
        self._notices.tell_all()
        executing = [run_id for run_id, _ in self._executor.attempts]
        for run_id, cancelled, streamed in await patiently(partial(self._asked, executing)):
            if cancelled:
                self._executor.stop(run_id)
            if streamed:
                self._executor.hear(run_id, Kind.read)
        await self._worker.refill()

    async def _asked(self, run_ids: Sequence[str]) -> list[tuple[str, bool, bool]]:
        return await self.store.asked(run_ids) if run_ids else []


_runtimes: WeakKeyDictionary[Database, PerLoop[Runtime]] = WeakKeyDictionary()


def _answer(value: bool) -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(value)
    return future
