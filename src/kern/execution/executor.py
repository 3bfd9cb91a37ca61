"""The runs that execute in this process: begun, stopped, settled."""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial
from threading import Lock

from kern.aio.batch import to_the_end
from kern.aio.guard import guarded
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.db.values import Kind
from kern.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    InvalidInputError,
    KernError,
    MissingToolError,
    ModelError,
    NewerJournalError,
    RunTimeoutError,
)
from kern.execution.attempt import Attempt
from kern.execution.calls import PausedError
from kern.execution.cancellation import cancellations
from kern.execution.journal import StaleAttemptError
from kern.execution.loop import carry_out
from kern.execution.report import report
from kern.run.agent import ENDINGS, RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.record import JournalRow

logger = logging.getLogger("kern")

# Signals for runs of other processes come as well; only the newest can be for a run yet to begin.
_EARLY_LIMIT = 1000

# How long a failed run waits for its next attempt, in seconds: first, doubled each time, at most.
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0

# What another process with the same agent may well do.
_REFUSED = (ConfigurationError, MissingToolError, NewerJournalError)

# How long a run that this process cannot execute is left to others first, in seconds.
_REFUSAL_DELAY = 0.1


class Stop(Enum):
    """Why an attempt is stopped from outside."""

    cancelled = "cancelled"
    stale = "stale"


@dataclass(slots=True, eq=False)
class _Execution:
    """An attempt in its task. Until it comes to its end it can be stopped, from any thread."""

    attempt: Attempt
    task: asyncio.Task[None] | None = None
    stopped: Stop | None = None
    begun: bool = False
    ended: bool = False
    _lock: Lock = field(default_factory=Lock)

    def stop(self, why: Stop) -> bool:
        """Have it end for this reason, or an earlier one; False where it has come to its end."""
        with self._lock:
            self.stopped = self.stopped or (None if self.ended else why)
            return not self.ended

    def interrupt(self) -> None:
        """Wake it from what it waits for, so that it sees that it was stopped."""
        # A task that is cancelled before its first step never takes it.
        if self.begun and not self.ended and self.task and not self.task.cancelling():
            self.task.cancel()

    def end(self) -> Stop | None:
        """Come to its end: from now on it cannot be stopped. Return why it was, if it was."""
        with self._lock:
            self.ended = True
            return self.stopped


class Executor:
    """Executes attempts on the running event loop, each in a task of its own."""

    def __init__(self, unserved_timeout: timedelta = timedelta(days=1)) -> None:
        """Execute nothing yet.

        Args:
            unserved_timeout: for how long all processes may refuse a run before it ends in ERROR.
        """
        self._unserved_timeout = unserved_timeout
        self._executing: dict[str, _Execution] = {}
        self._early: OrderedDict[tuple[str, Kind], None] = OrderedDict()
        self._loop = asyncio.get_running_loop()

    @property
    def attempts(self) -> list[tuple[str, int]]:
        """The run ids that execute here, with the attempt at each. Safe to use from any thread."""
        executing = self._executing.copy()
        return [(run_id, each.attempt.number) for run_id, each in executing.items()]

    def attempt(self, run_id: str) -> Attempt | None:
        """Return the attempt at the run that executes here, if one does."""
        execution = self._executing.get(run_id)
        return None if execution is None else execution.attempt

    async def execute(self, attempt: Attempt) -> None:
        """Carry an attempt to its settlement; ``attempt.output`` is the run as it ended then.

        Where the attempt was stale, the output is the run as it stands. Where the run failed,
        ``attempt.failure`` says of what; where this process cannot execute it, ``attempt.refusal``
        says why, and others may.

        Args:
            attempt: the attempt, just claimed.

        Raises:
            DatabaseError: the end could not be stored.
            asyncio.CancelledError: the caller was cancelled. A background run was
                released; a foreground run was cancelled with its caller.
        """
        run_id = attempt.output.run_id
        current = self.attempt(run_id)
        if current is not None and current.number >= attempt.number:
            return await self._show_current(attempt)
        self.stop(run_id, Stop.stale)
        execution = self._executing[run_id] = _Execution(attempt)
        cancellations.executes(run_id, lambda: self._stop_from_any_thread(run_id))
        task = execution.task = asyncio.create_task(self._run(execution), name=f"run {run_id}")
        for kind in (Kind.cancel, Kind.read):
            if self._early.pop((run_id, kind), True) is None:
                self.on_signal(run_id, kind)
        try:
            with guarded():
                await asyncio.wait({task})
        except asyncio.CancelledError:
            if not task.cancelling():
                task.cancel()
            await asyncio.wait({task})
            await self._release_unbegun(execution)
            raise
        finally:
            if self._executing.get(run_id) is execution:
                del self._executing[run_id]
                cancellations.ended(run_id)
        await self._release_unbegun(execution)
        task.result()

    async def idle(self) -> None:
        """Wait until no background run executes here."""
        while tasks := self._background():
            await asyncio.wait(tasks)

    async def release_all(self) -> None:
        """Release every background run for others, and wait until that is stored."""
        tasks = self._background()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _background(self) -> list[asyncio.Task[None]]:
        return [
            each.task
            for each in self._executing.values()
            if each.task is not None and not each.attempt.foreground and not each.ended
        ]

    def on_signal(self, run_id: str, kind: Kind) -> None:
        """Stop a run, or have its events written as they come, if it executes here.

        A signal that comes between a run's claim and its execution is kept for it.
        """
        execution = self._executing.get(run_id)
        if execution is None:
            self._early[run_id, kind] = None
            if len(self._early) > _EARLY_LIMIT:
                self._early.popitem(last=False)
        elif kind is Kind.read:
            execution.attempt.journal.streamed = True
        else:
            self.stop(run_id)

    def stop(self, run_id: str, why: Stop = Stop.cancelled, attempt: int | None = None) -> bool:
        """Stop a run if it executes here and has not come to its end, and say whether so.

        Args:
            run_id: the run.
            why: the reason.
            attempt: stop only this attempt; by default any.
        """
        execution = self._executing.get(run_id)
        if execution is None or attempt not in (None, execution.attempt.number):
            return False
        if not execution.stop(why):
            return False
        execution.interrupt()
        return True

    def _stop_from_any_thread(self, run_id: str) -> bool:
        execution = self._executing.get(run_id)
        if execution is None or not execution.stop(Stop.cancelled):
            return False
        self._loop.call_soon_threadsafe(execution.interrupt)
        return True

    async def _release_unbegun(self, execution: _Execution) -> None:
        """Give up a run whose task was cancelled before its first step, so it never took it."""
        attempt = execution.attempt
        if execution.begun:
            return
        if attempt.foreground:  # Its caller has left: nobody else may execute it.
            attempt.output.status = RunStatus.cancelled
            await self._settle(attempt)
        else:
            await self._release(attempt)

    async def _run(self, execution: _Execution) -> None:
        attempt, output = execution.attempt, execution.attempt.output
        output.status = RunStatus.running
        started = time.monotonic()
        execution.begun = True
        report("started", attempt)
        limit = asyncio.timeout(attempt.remaining)
        try:
            async with limit:
                if execution.stopped is None:
                    await carry_out(attempt)
            output.status = RunStatus.completed
        except StaleAttemptError:
            execution.stop(Stop.stale)
        except PausedError as pause:
            output.status, output.error = RunStatus.paused, str(pause)
        except asyncio.CancelledError as error:
            if execution.stopped is None and not _is_being_cancelled():
                _fail(attempt, error)
            elif not attempt.foreground and execution.end() is None:
                await self._release(attempt)
                report("released", attempt, time.monotonic() - started)
                raise
            else:
                _cancel(attempt)
        except _REFUSED as error:
            if self._may_refuse(execution):
                return await self._refuse(attempt, str(error))
            _fail(attempt, error)
        except Exception as error:
            _fail(attempt, _too_long(attempt) if limit.expired() else error)
        match execution.end():
            case Stop.stale:
                return await self._show_current(attempt)
            case Stop.cancelled:
                _cancel(attempt)
        output.metrics.duration = time.monotonic() - started
        if attempt.tries and isinstance(attempt.failure, ModelError) and attempt.failure.transient:
            await self._postpone(attempt, attempt.failure)
        else:
            await self._settle(attempt)
        event = "retry" if output.status is RunStatus.pending else output.status.lower()
        report(event, attempt, output.metrics.duration)
        if output.status in ENDINGS:
            attempt.journal.end(ENDINGS[output.status], output.error or output.content)
        if output.status is RunStatus.cancelled and attempt.handle is not None:
            await attempt.spec.model.cancel(attempt.handle)

    async def _settle(self, attempt: Attempt) -> None:
        rows = await attempt.journal.close()
        if attempt.store is None:
            return
        try:
            status = await self._write_end(attempt, rows)
        except DatabaseUnavailableError:
            raise
        except (DatabaseError, InvalidInputError) as error:
            # What cannot be stored must not keep the run from ending.
            output = attempt.output
            output.status, output.error = RunStatus.error, f"The output was not stored. {error}"
            output.content, output.messages, output.tools = None, [], []
            status = await self._write_end(attempt, [])
        if status is None:
            await self._show_current(attempt)
        else:
            attempt.output.status = status
            attempt.is_settled = status.is_terminal
            if status is RunStatus.cancelled:
                await self._cancel_children(attempt.store, attempt.output.run_id)

    async def _cancel_children(self, store: Store, run_id: str) -> None:
        """Have the children of a cancelled run end, though its canceller may be gone."""
        for child in await until_available(lambda: store.children(run_id)):
            await until_available(partial(store.cancel, child))

    async def _postpone(self, attempt: Attempt, failure: ModelError) -> None:
        """Have a later attempt try again what may succeed then."""
        store, run_id = attempt.store, attempt.output.run_id
        assert store is not None, "only background runs have tries left"
        delay = min(_FIRST_DELAY * 2**attempt.failures, _LONGEST_DELAY) * random.uniform(0.5, 1)
        attempt.journal.keep(RunEvent.run_error, {"message": str(failure)})
        rows = await attempt.journal.close()
        postpone = partial(store.postpone, run_id, attempt.number, delay, rows)
        status = await to_the_end(lambda: until_available(postpone), postpone)
        if status is None:
            return await self._show_current(attempt)
        attempt.output.status = status
        attempt.postponed = delay if status is RunStatus.pending else None

    async def _write_end(self, attempt: Attempt, rows: list[JournalRow]) -> RunStatus | None:
        store = attempt.store
        assert store is not None
        failure = attempt.failure
        settlement = attempt.output.settlement(
            attempt.number,
            rows,
            attempt.journal.fold_before,
            None if failure is None else type(failure).__name__,
        )
        settle = partial(store.settle, settlement)
        return await to_the_end(lambda: until_available(settle), settle)

    def _may_refuse(self, execution: _Execution) -> bool:
        """Say whether others may do what this process cannot: the run's submitter is another."""
        attempt = execution.attempt
        is_alone = attempt.foreground or attempt.is_pinned or attempt.store is None
        return not is_alone and execution.end() is None

    async def _refuse(self, attempt: Attempt, reason: str) -> None:
        """Release a run that this process cannot execute."""
        store, output = attempt.store, attempt.output
        assert store is not None, "only a stored run has others who may execute it"
        attempt.refusal = reason
        await attempt.journal.close()
        refuse = partial(
            store.refuse,
            output.run_id,
            attempt.number,
            reason,
            _REFUSAL_DELAY,
            self._unserved_timeout,
        )
        status = await to_the_end(lambda: until_available(refuse), refuse)
        if status is None:
            return await self._show_current(attempt)
        output.status = status
        logger.warning("run %s cannot be executed here: %s", output.run_id, reason)

    async def _release(self, attempt: Attempt) -> None:
        store, run_id = attempt.store, attempt.output.run_id
        await attempt.journal.close()
        if store is not None:
            await to_the_end(lambda: store.release(run_id, attempt.number))

    async def _show_current(self, attempt: Attempt) -> None:
        """Show the caller of a stale attempt how the run stands."""
        output = attempt.output
        logger.warning("run %s: attempt %d is stale and stops", output.run_id, attempt.number)
        await attempt.journal.close()
        record = await attempt.store.get(output.run_id) if attempt.store is not None else None
        if record is not None:
            attempt.output = RunOutput.from_record(record)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancel(attempt: Attempt) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()  # The stop has served its purpose; the task goes on to settle the run.
    attempt.output.status, attempt.output.error = RunStatus.cancelled, None
    attempt.failure = None


def _too_long(attempt: Attempt) -> RunTimeoutError:
    return RunTimeoutError(
        f"The run was not done within its timeout of {attempt.timeout:g} s. What it has done is "
        "kept; retry the run to go on from there, with as much time again."
    )


def _fail(attempt: Attempt, error: BaseException) -> None:
    output = attempt.output
    attempt.failure = error
    output.status = RunStatus.error
    if isinstance(error, KernError):
        output.error = str(error)
    else:
        logger.error("run %s failed", output.run_id, exc_info=error)
        output.error = f"{type(error).__name__}: {error}"
    if isinstance(error, ModelError):
        output.content = error.content or output.content
