"""A database in use on an event loop: runs are submitted, executed, stopped and awaited here."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

from kern.db.base import Database, Kind, Signal, Store
from kern.engine.definition import Definition
from kern.engine.executor import Executor, Stop, patiently
from kern.engine.loop import Attempt, Emit
from kern.engine.queue import open_queue
from kern.engine.settings import Settings
from kern.errors import DatabaseError, RunConflictError
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.cancel import cancellations
from kern.run.codec import decode_object
from kern.run.per_loop import PerLoop
from kern.run.record import NewRun, RunRecord

logger = logging.getLogger("kern")


class Runtime:
    """What one event loop does with one database."""

    def __init__(self, store: Store, session_table: str, settings: Settings) -> None:
        """Use ``store``; nothing is started before it is needed."""
        self.store = store
        self._settings = settings
        self._executor = Executor(store)
        self._queue = open_queue(store, session_table, settings.heartbeat)
        self._definitions: dict[str, Definition] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._consuming = False
        self._beating = False

    @classmethod
    async def of(cls, database: Database) -> "Runtime":
        """Return the running loop's use of ``database``, begun on first call."""
        per_loop = _runtimes.get(database)
        if per_loop is None:
            per_loop = _runtimes[database] = PerLoop(lambda: cls._open(database))
        return await per_loop.get()

    @classmethod
    async def _open(cls, database: Database) -> "AsyncGenerator[Runtime, None]":
        runtime = cls(await database.store(), database.session_table, Settings.from_environment())
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

    async def submit(self, definition: Definition, run: NewRun) -> RunOutput:
        """Accept a run into the queue, durably.

        Returns:
            The run, PENDING, or CANCELLED where it was cancelled before; or as it stands where
            the same run was submitted before.

        Raises:
            RunConflictError: the run id is in use for something else.
            DatabaseError: the run was not accepted.
        """
        if self._settings.in_process_worker:
            await self.serve(definition)
        run = replace(run, cancelled=cancellations.take_intent(run.run_id))
        accepted = await self.store.submit(run)
        if accepted is None:
            return RunOutput.from_record(await self._same_run(run))
        if accepted.status is RunStatus.pending and not self.store.enqueues:
            await self._queue.enqueue(run.run_id, run.agent_id)
        return _output(definition, run, accepted.status, accepted.created_at.timestamp())

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
        await self._listen()
        intended = cancellations.take_intent(run.run_id)
        run = replace(run, cancelled=intended, lease=self._settings.heartbeat)
        accepted = await self.store.submit(run)
        if accepted is None:
            await self._same_run(run)
            record = await self.wait(run.run_id, None)
            assert record is not None
            return RunOutput.from_record(record)
        output = _output(definition, run, accepted.status, accepted.created_at.timestamp())
        if accepted.status is RunStatus.cancelled:
            return output
        attempt = Attempt(definition, run.input, output, foreground=True, emit=emit)
        await self._attempt(attempt)
        if attempt.failure is not None and attempt.output.status is RunStatus.error:
            raise attempt.failure
        return attempt.output

    async def cancel(self, run_id: str) -> bool:
        """Ask for the end of a run, wherever it is, and say whether it ends cancelled for this."""
        cancelled = await self.store.cancel(run_id)
        if cancelled:
            self._executor.stop(run_id)
        return cancelled

    async def wait(self, run_id: str, timeout: float | None) -> RunRecord | None:
        """Wait for a run's end; None where the run is not known.

        Raises:
            TimeoutError: it had not ended after ``timeout`` seconds.
        """
        await self._listen()
        async with asyncio.timeout(timeout):
            with self._told_of(run_id) as told:
                while True:
                    if not self._executor.executes(run_id):
                        await self.store.watch(run_id)
                    record = await self.store.get(run_id)
                    if record is None or record.status.is_terminal:
                        return record
                    await told.wait()
                    told.clear()

    async def serve(self, definition: Definition) -> None:
        """Execute queued runs of this agent here, from now on."""
        known = self._definitions.get(definition.id)
        self._definitions[definition.id] = definition
        if known is None:
            self._queue.serve(definition.id)
            if not self.store.enqueues:
                self._start(self._refill())
        if not self._consuming:
            self._consuming = True
            self._start(self._consume())

    async def _consume(self) -> None:
        await patiently(self._listen)
        await self._queue.consume(self._deliver)

    async def _deliver(self, run_id: str) -> float | None:
        """Execute a run that the queue hands over; say when to hand it over again, if at all."""
        lease = self._settings.heartbeat
        record = await patiently(lambda: self.store.claim(run_id, lease))
        if record is None:
            current = await patiently(lambda: self.store.get(run_id))
            executes = current is not None and current.status is RunStatus.running
            return lease / 4 if executes else None
        if record.status is RunStatus.running:
            assert record.input is not None
            definition, output = self._definitions[record.agent_id], RunOutput.from_record(record)
            try:
                await self._attempt(Attempt(definition, record.input, output, record.attempt))
            except DatabaseError:
                logger.exception("the end of run %s could not be stored", run_id)
                return lease
        self._tell(run_id)
        return None

    async def _attempt(self, attempt: Attempt) -> None:
        if not self._beating:
            self._beating = True
            self._start(self._beat())
        try:
            await self._executor.execute(attempt)
        finally:
            self._tell(attempt.output.run_id)

    async def _same_run(self, run: NewRun) -> RunRecord:
        """Return the run that has this id already, if it is the same."""
        record = await self.store.get(run.run_id, with_input=True)
        same = record is not None and (record.input, record.agent_id) == (run.input, run.agent_id)
        if record is None or not same:
            raise RunConflictError(
                f"run_id {run.run_id!r} is in use for another input or agent. Choose a new one."
            )
        return record

    async def _beat(self) -> None:
        """Show that this process lives, and learn what happened to its runs unheard."""
        heartbeat = self._settings.heartbeat
        while True:
            await asyncio.sleep(heartbeat / 3)
            attempts = self._executor.attempts
            if not attempts:
                continue
            mine = await patiently(partial(self.store.extend, attempts, heartbeat))
            for run_id, attempt in attempts:
                if run_id not in mine:
                    self._executor.stop(run_id, Stop.overtaken, attempt)
                elif mine[run_id]:
                    self._executor.stop(run_id)

    async def _refill(self) -> None:
        """Put what waits in the database into a queue that does not outlive its process."""
        for run_id, agent_id in await self.store.unfinished(list(self._definitions)):
            await self._queue.enqueue(run_id, agent_id)

    async def _listen(self) -> None:
        if self._listening is None or (
            self._listening.done() and (self._listening.cancelled() or self._listening.exception())
        ):
            self._listening = self._start(self.store.listen(self._hear))
        await asyncio.shield(self._listening)

    def _hear(self, signal: Signal) -> None:
        match signal.kind:
            case Kind.cancel:
                self._executor.stop(signal.run_id)
            case Kind.end:
                self._tell(signal.run_id)
            case Kind.again:
                self._start(self._catch_up())

    async def _catch_up(self) -> None:
        for run_id in list(self._waiting):
            self._tell(run_id)
        executing = [run_id for run_id, _ in self._executor.attempts]
        for run_id in await patiently(lambda: self.store.cancelled(executing)):
            self._executor.stop(run_id)
        if self._definitions and not self.store.enqueues:
            await self._refill()

    @contextmanager
    def _told_of(self, run_id: str) -> Iterator[asyncio.Event]:
        told = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(told)
        try:
            yield told
        finally:
            self._waiting[run_id].discard(told)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def _tell(self, run_id: str) -> None:
        for told in self._waiting.get(run_id, ()):
            told.set()

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("kern stopped working in the background", exc_info=error)


_runtimes: WeakKeyDictionary[Database, PerLoop[Runtime]] = WeakKeyDictionary()


def _answer(value: bool) -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(value)
    return future


def _output(definition: Definition, run: NewRun, status: RunStatus, created_at: float) -> RunOutput:
    return RunOutput(
        run_id=run.run_id,
        session_id=run.session_id,
        agent_id=run.agent_id,
        agent_name=definition.name,
        user_id=run.user_id,
        status=status,
        metadata=decode_object(run.metadata) if run.metadata else None,
        created_at=created_at,
    )
