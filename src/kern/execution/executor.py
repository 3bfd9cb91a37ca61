"""The runs that execute in this process: begun, stopped, settled."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial
from threading import Lock

from kern.db.values import Kind
from kern.errors import (
    CheckError,
    ConfigurationError,
    JournalError,
    MissingToolError,
    ModelError,
    NewerJournalError,
    RunStateError,
)
from kern.execution.attempt import Attempt
from kern.execution.calls import PausedError
from kern.execution.cancellation import cancellations, managed
from kern.execution.child import Children
from kern.execution.journal import StaleAttemptError
from kern.execution.loop import carry_out
from kern.execution.managing import clean_up, register
from kern.execution.middleware import around_run
from kern.execution.outcome import be_cancelled, fail, shut_down, too_long
from kern.execution.output import show
from kern.execution.report import ended, log_failure, with_log
from kern.execution.settling import postpone, refuse, release, settle, show_current, sleep
from kern.execution.steps import AsleepError
from kern.execution.used import details_of
from kern.run.agent import RunOutput
from kern.run.base import RunStatus

logger = logging.getLogger("kern")

# Signals for runs of other processes come as well; only the newest can be for a run yet to begin.
_EARLY_LIMIT = 1000

# What another process with the same agent may well do.
_REFUSED = (ConfigurationError, MissingToolError, NewerJournalError)

_UNLIMITED = nullcontext()


class Stop(Enum):
    """Why an attempt is stopped from outside."""

    cancelled = "cancelled"
    stale = "stale"
    shutdown = "shutdown"


@dataclass(slots=True, eq=False)
class _Execution:
    """An attempt in its task. Until it comes to its end it can be stopped, from any thread."""

    attempt: Attempt
    task: asyncio.Task[object] | None = None
    stopped: Stop | None = None
    ended: bool = False
    unsettled: BaseException | None = None
    _lock: Lock = field(default_factory=Lock)

    def stop(self, why: Stop) -> bool:
        """Have it end for this reason, or an earlier one; False where it has come to its end."""
        with self._lock:
            self.stopped = self.stopped or (None if self.ended else why)
            return not self.ended

    def interrupt(self) -> None:
        """Wake it from what it waits for, so that it sees that it was stopped."""
        if not self.ended and self.task and not self.task.cancelling():
            self.task.cancel()

    def end(self) -> Stop | None:
        """Come to its end: from now on it cannot be stopped. Return why it was, if it was."""
        with self._lock:
            self.ended = True
            return self.stopped


class Executor:
    """Executes attempts on the running event loop, each in the task that asks for it.

    Attributes:
        children: what carries out the runs that tool calls are; None where they are kept nowhere.
    """

    def __init__(
        self,
        unserved_timeout: timedelta = timedelta(days=1),
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Execute nothing yet.

        Args:
            unserved_timeout: for how long all processes may refuse a run before it ends in ERROR.
            notify: called with the id of a run when there is more to read of it.
        """
        self._notify = notify
        self._unserved_timeout = unserved_timeout
        self.children: Children | None = None
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

        It needs a task that does nothing else until then: who stops the run cancels this task.
        Where the attempt was stale, the output is the run as it stands. Where the run failed,
        ``attempt.failure`` says of what; where this process cannot execute it, ``attempt.refusal``
        says why, and others may.

        Args:
            attempt: the attempt, just claimed.

        Raises:
            DatabaseError: the end could not be stored.
            asyncio.CancelledError: the task was cancelled, but not to stop the run. A background
                run was released.
        """
        run_id = attempt.output.run_id
        current = self.attempt(run_id)
        if current is not None:
            if current.number >= attempt.number:
                return await show_current(attempt)
            self.stop(run_id, Stop.stale)
        attempt.journal.on_write, attempt.children = self._notify, self.children
        execution = self._executing[run_id] = _Execution(attempt)
        cancellations.executes(run_id, attempt.output.user_id, self._stop_from_any_thread)
        for kind in (Kind.cancel, Kind.read) if self._early else ():
            if self._early.pop((run_id, kind), True) is None:
                self.on_signal(run_id, kind)
        execution.task = asyncio.current_task()  # What stopped it before has not cancelled that.
        try:
            if managed.manager is not None:
                await register(run_id)
            await self._run(execution)
        finally:
            if self._executing.get(run_id) is execution:
                del self._executing[run_id]
                cancellations.ended(run_id)
                if managed.manager is not None:
                    await clean_up(run_id)

    async def left(self, run_id: str) -> None:
        """Wait until no attempt at a run executes here."""
        while (execution := self._executing.get(run_id)) and execution.task is not None:
            await asyncio.wait({execution.task})

    async def idle(self) -> None:
        """Wait until no background run executes here."""
        while tasks := self._tasks(foreground=False):
            await asyncio.wait(tasks)

    async def release_all(self) -> None:
        """Release every background run for others, and wait until that is stored."""
        tasks = self._tasks(foreground=False)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def end_foreground(self, grace: float) -> None:
        """Give the foreground runs a time to end; then have them end in ERROR, and wait for that.

        Args:
            grace: the time, in seconds.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while tasks := self._tasks(foreground=True):
                    await asyncio.wait(tasks)
        tasks = self._tasks(foreground=True)
        for run_id, each in list(self._executing.items()):
            if each.attempt.foreground:
                self.stop(run_id, Stop.shutdown)
        if tasks:
            await asyncio.wait(tasks)

    def _tasks(self, *, foreground: bool) -> list[asyncio.Task[object]]:
        """Return the tasks of the runs that have not come to their end."""
        return [
            each.task
            for each in self._executing.values()
            if each.task is not None and each.attempt.foreground is foreground and not each.ended
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
            execution.attempt.stream()
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

    async def _run(self, execution: _Execution) -> None:
        attempt = execution.attempt
        attempt.output.status = RunStatus.running
        middleware = with_log(attempt.spec.middleware)
        if not middleware:
            await self._carry(execution)
            return
        raised: BaseException | None = None
        try:
            await around_run(middleware, attempt.info, partial(self._carry_inside, execution))()
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if execution.ended and isinstance(error, asyncio.CancelledError):
                raise
            raised = error
        if execution.unsettled is not None:  # Whatever the middleware made of it.
            raise execution.unsettled
        if not execution.ended:  # The middleware has not come to the attempt.
            await self._carry(execution, raised or RunStateError("The middleware did not proceed."))
        elif raised is not None:
            logger.warning("run %s: after its end, around it: %r", attempt.info.run_id, raised)

    async def _carry_inside(self, execution: _Execution) -> RunOutput:
        """Carry an attempt to its end within middleware, which may swallow what this raises."""
        try:
            return await self._carry(execution)
        except BaseException as error:
            execution.unsettled = error
            raise

    async def _carry(
        self, execution: _Execution, failure: BaseException | None = None
    ) -> RunOutput:
        """Carry an attempt to its end, and return the run as it is then.

        Args:
            execution: the attempt in its task.
            failure: what it fails of before it does anything.
        """
        attempt, output = execution.attempt, execution.attempt.output
        started = time.monotonic()
        limit = None if attempt.remaining is None else asyncio.timeout(attempt.remaining)
        try:
            async with limit or _UNLIMITED:
                if failure is not None:
                    raise failure
                attempt.ends_at = None if limit is None else limit.when()
                if execution.stopped is None:
                    await carry_out(attempt)
            output.status = RunStatus.completed
        except StaleAttemptError:
            execution.stop(Stop.stale)
        except PausedError as pause:
            output.status, output.error = RunStatus.paused, str(pause)
        except AsleepError as asleep:
            if execution.end() is None:
                await sleep(attempt, _delay(attempt, asleep.until, limit))
                return attempt.output
        except asyncio.CancelledError as error:
            if execution.stopped is None and not _is_being_cancelled():
                fail(attempt, error)
            elif not attempt.foreground and execution.end() is None:
                await release(attempt)
                raise
            else:
                be_cancelled(attempt)
        except _REFUSED as error:
            if self._may_refuse(execution):
                await refuse(attempt, str(error), self._unserved_timeout)
                return _told(attempt, started)
            fail(attempt, error)
        except SystemExit as error:  # It would end the process, and with it the runs of others.
            failed = RuntimeError(f"SystemExit: {error}")
            failed.__cause__ = error
            fail(attempt, failed)
        except Exception as error:
            fail(attempt, too_long(attempt) if limit and limit.expired() else error)
        match execution.end():
            case Stop.stale:
                await show_current(attempt)
                return attempt.output
            case Stop.cancelled:
                be_cancelled(attempt)
            case Stop.shutdown:
                be_cancelled(attempt)
                fail(attempt, shut_down())
        await _settle(attempt, time.monotonic() - started)
        return _told(attempt, started)

    def _may_refuse(self, execution: _Execution) -> bool:
        """Say whether others may do what this process cannot: the run's submitter is another."""
        attempt = execution.attempt
        is_alone = attempt.foreground or attempt.is_pinned or attempt.store is None
        return not is_alone and execution.end() is None


def _delay(attempt: Attempt, until: float, limit: asyncio.Timeout | None) -> float:
    """Return for how long a run sleeps: not beyond its time limit."""
    delay = until - attempt.now()
    deadline = None if limit is None else limit.when()
    if deadline is None:
        return delay
    return min(delay, deadline - asyncio.get_running_loop().time())


def _told(attempt: Attempt, started: float) -> RunOutput:
    """Return the run as it is after an attempt; if it has failed with that, it is in the log."""
    output = attempt.output
    for tell in ended:
        tell(attempt.info, output.status, time.monotonic() - started)
    if output.status is RunStatus.error and output.attempt == attempt.number:
        log_failure(attempt.info, output.error, time.monotonic() - started, attempt.failure)
    return output


async def _settle(attempt: Attempt, seconds: float) -> None:
    """Store how the attempt has ended, and tell its caller."""
    output = attempt.output
    output.metrics.duration = seconds
    # It may have come to its end before it was told what is stored.
    with suppress(JournalError, ValueError):
        await attempt.restore()
    show(attempt)
    state = attempt.state
    if state.secondary or state.beside or state.children or state.fallback is not None:
        output.metrics.by_model = details_of(attempt)
    if isinstance(attempt.failure, ModelError):
        output.content = attempt.failure.content or output.content
    if isinstance(attempt.failure, CheckError):  # What was refused is nobody's answer.
        output.content, output.content_type = None, "str"
    kept = None if state.kept is None else state.kept_at(attempt.spec.models)
    if attempt.tries and isinstance(attempt.failure, ModelError) and attempt.failure.transient:
        await postpone(attempt, attempt.failure)
    else:
        await settle(attempt)
    if attempt.output is output:  # Else others have carried the run on, and know its end.
        attempt.journal.end()
    if attempt.output.status is RunStatus.cancelled and kept is not None:
        model, handle = kept
        await model.cancel(handle)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
