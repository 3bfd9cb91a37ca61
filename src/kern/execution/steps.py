"""The steps inside a tool call, and its sleeps: each done once, written down, replayed."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from contextvars import ContextVar
from functools import partial
from queue import SimpleQueue
from typing import NoReturn, TypeVar

from kern.embedders.usage import counting
from kern.errors import DatabaseError, InvalidInputError, StepError, described
from kern.execution.attempt import Attempt
from kern.execution.blobs import blobs_in, keep_result, whole
from kern.execution.embedding import embedded
from kern.execution.journal import StaleAttemptError
from kern.execution.trying import PASSED_ON, Call, called, check_step, fulfil, tried, waited
from kern.run.beside_steps import TextsEmbedded
from kern.run.codec import encode
from kern.run.content import Content
from kern.run.message import Message
from kern.run.metrics import ModelMetrics
from kern.run.numbers import check_seconds
from kern.run.printable import one_line
from kern.run.tool_steps import SleepBegun, StepEnded

Result = TypeVar("Result")

IN_PLACE = 5.0
"""How many seconds a tool sleeps at most while its run keeps its slot."""

# A thousand years: every database can count them from now on.
_LONGEST_SLEEP = 1000 * 365 * 86_400.0

# The call whose step calls this code; the tools of a run that the step has begun are others.
_in_step: "ContextVar[CallSteps | None]" = ContextVar("in_step", default=None)


class AsleepError(Exception):
    """The open calls of a run sleep.

    Attributes:
        until: when the first of them goes on, in seconds since 1970.
    """

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


class Suspended(BaseException):
    """A tool call was stopped, to begin again from its top once its sleep is over.

    It is no Exception, so middleware that catches these lets it pass.

    Attributes:
        until: when that is, in seconds since 1970.
    """

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


class CallSteps:
    """The steps and sleeps of one tool call, in one attempt.

    Attributes:
        attempt: the attempt that makes the call.
        place: the call's place in the model's last answer.
        left: why the call's code was stopped from here, if it was.
        cancel_child: cancels the run that the call is, while that has not ended.
    """

    left: BaseException | None = None
    cancel_child: Callable[[], Awaitable[bool]] | None = None
    _work: "asyncio.Future[object] | None" = None
    _limit: asyncio.Timeout | None = None
    _quiet: "asyncio.Future[None] | None" = None
    _is_leaving = False
    _ended = False

    def __init__(self, attempt: Attempt, place: int) -> None:
        """Have no step yet; what earlier attempts have done is in the attempt's state.

        Args:
            attempt: the attempt that makes the call.
            place: the call's place in the model's last answer.
        """
        self.attempt = attempt
        self.place = place
        self._loop = asyncio.get_running_loop()
        self._counts: dict[str | None, int] = {}
        self._under_way: set[str] = set()
        self._waits: set[asyncio.Future[object]] = set()

    def begun(self, work: "asyncio.Future[object]", limit: asyncio.Timeout) -> None:
        """See :class:`kern.run.base.Steps`."""
        self._work, self._limit = work, limit

    def end(self) -> None:
        """Let nobody wait here any more: the call has ended."""
        self._ended = True
        for wait in list(self._waits):
            wait.cancel()

    async def step(
        self,
        name: str,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        *,
        retries: int,
        delay: float,
        timeout: float | None,
    ) -> object:
        """See :meth:`kern.run.base.RunContext.step`."""
        self._check_loop("step")
        check_step(name, retries, delay, timeout)
        return await self._once(name, partial(called, function, arguments, timeout), retries, delay)

    def step_sync(
        self,
        name: str,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        *,
        retries: int,
        delay: float,
        timeout: float | None,
    ) -> object:
        """See :meth:`kern.run.base.RunContext.step_sync`."""
        check_step(name, retries, delay, timeout)
        if timeout is not None or inspect.iscoroutinefunction(inspect.unwrap(function)):
            call = partial(called, function, arguments, timeout)
            once = partial(self._once, name, call, retries, delay)
            return waited(self._from_thread("step", once))
        wanted: SimpleQueue[futures.Future[object] | None] = SimpleQueue()

        async def call_there() -> object:
            calling: futures.Future[object] = futures.Future()
            wanted.put(calling)
            result = await asyncio.wrap_future(calling)
            return await result if inspect.isawaitable(result) else result

        # The function is called here: what belongs to this thread, such as a connection, is its.
        ended = self._from_thread("step", partial(self._once, name, call_there, retries, delay))
        ended.add_done_callback(lambda _: wanted.put(None))
        token = _in_step.set(self)
        try:
            while (calling := wanted.get()) is not None:
                fulfil(calling, partial(function, *arguments))
        finally:
            _in_step.reset(token)
        return waited(ended)

    async def sleep(self, seconds: float) -> None:
        """See :meth:`kern.run.base.RunContext.sleep`."""
        self._check_loop("sleep")
        if check_seconds("seconds", seconds, from_zero=True) > _LONGEST_SLEEP:
            raise InvalidInputError(f"A tool sleeps for a thousand years at most, not {seconds} s.")
        occurrence = self._count(None)
        place, turn = self.place, self.attempt.state.turns[-1]
        until = (turn.sleeps or {}).get((place, occurrence))
        if until is None:
            until = self.attempt.now() + seconds
            if seconds:
                self._note(SleepBegun(place, occurrence, until))
                await self.commit()
        if not self._gives_back or until - self.attempt.now() <= IN_PLACE:
            return await self._sleep_here(until - self.attempt.now())
        while self._under_way:  # What was begun is to end: else it would be done again.
            self._quiet = self._quiet or self._loop.create_future()
            await asyncio.shield(self._quiet)
        self._note(SleepBegun(place, occurrence, until, suspended=True))
        self._is_leaving = True
        try:
            await self.commit()
        finally:  # Also if this is cancelled: that the call was stopped is written down.
            self._stop(Suspended(until))
        await self._wait_for_the_end()

    def sleep_sync(self, seconds: float) -> None:
        """See :meth:`kern.run.base.RunContext.sleep_sync`."""
        waited(self._from_thread("sleep", partial(self.sleep, seconds)))

    @property
    def _gives_back(self) -> bool:
        """Whether a later attempt would go on once this one has given up the run."""
        attempt = self.attempt
        return self._work is not None and attempt.store is not None and not attempt.foreground

    async def _once(self, name: str, call: Call, retries: int, delay: float) -> object:
        """Return what a step came to, once."""
        if name in self._under_way:
            raise StepError(
                f"The step {one_line(name, 60)!r} is under way. Give steps that are done at the "
                "same time names of their own: what they came to is kept by name and order."
            )
        occurrence = self._count(name)
        if self._is_leaving:
            await self._wait_for_the_end()
        self._under_way.add(name)
        try:
            ended = await self._ended_step(name, occurrence)
            if ended is None:
                return await self._do(name, occurrence, call, retries, delay)
            text = await self._text(ended.content)
            if ended.error is not None:
                raise StepError(text, ended.error)
            value: object = json.loads(text)
            return value
        finally:
            self._under_way.discard(name)
            if not self._under_way and self._quiet is not None:
                self._quiet.set_result(None)
                self._quiet = None

    async def _do(
        self, name: str, occurrence: int, call: Call, retries: int, delay: float
    ) -> object:
        """Do a step, and write down what it came to."""
        cause: Exception | None = None
        shown = f"The step {one_line(name, 60)!r}"
        used: list[ModelMetrics] = []
        try:
            with counting(used):
                result = await self._tried(name, call, retries, delay)
        except PASSED_ON:
            raise  # It was not done, or says how the run goes on.
        except Exception as error:
            cause, text = error, f"{shown} failed: {described(error)}"
        else:
            try:
                text = encode(result, f"{shown} was done, but what its function returned")
            except InvalidInputError as error:  # Written down as well: it is not done again.
                cause, text = error, str(error)
        kind = None if cause is None else type(cause).__name__
        for each in embedded(used):
            self._note(each)
        await self._keep(name, occurrence, text, kind)
        if cause is not None:
            raise StepError(text, kind) from cause
        value: object = json.loads(text)  # The same as it will be when it is replayed.
        return value

    async def _tried(self, name: str, call: Call, retries: int, delay: float) -> object:
        token = _in_step.set(self)
        try:
            shown = f"run {self.attempt.output.run_id}: the step {one_line(name, 60)}"
            return await tried(call, retries, delay, shown)
        finally:
            _in_step.reset(token)

    async def _keep(self, name: str, occurrence: int, text: str, kind: str | None) -> None:
        """Commit what a step came to."""
        attempt = self.attempt

        def keep(content: Content) -> None:
            self._note(StepEnded(self.place, name, occurrence, content, kind))

        try:
            await keep_result(attempt.store, attempt.output.run_id, text, keep, attempt.loaded)
        except DatabaseError as error:
            await self._leave(error)
        await self.commit()

    def _note(self, step: StepEnded | SleepBegun | TextsEmbedded) -> None:
        """Have a step written; after the call's end, another turn may be the last."""
        self._check_open()
        self.attempt.journal.keep(step)

    async def commit(self) -> None:
        """Commit what is kept; where that fails, the call's code is stopped here."""
        try:
            await self.attempt.journal.commit()
        except (StaleAttemptError, DatabaseError) as error:
            await self._leave(error)

    async def _ended_step(self, name: str, occurrence: int) -> StepEnded | None:
        """Return a step that an earlier attempt has ended, if it has."""
        ended = self.attempt.state.turns[-1].ended_steps
        found = None if ended is None else ended.get((self.place, name, occurrence))
        if found is not None:
            await asyncio.sleep(0)  # Who asks for the same name meanwhile finds it under way.
        return found

    async def _text(self, content: Content) -> str:
        """Return a content as text, read from its blob if it has one."""
        if isinstance(content, str):
            return content
        attempt, messages = self.attempt, [Message("tool", content)]
        runs = dict.fromkeys(blobs_in(messages), attempt.output.run_id)
        [message] = await whole(attempt.store, messages, runs, attempt.loaded)
        return message.text

    def _count(self, name: str | None) -> int:
        """Return how many steps of a name, or sleeps, the call has had before this one."""
        self._check_open()
        if _in_step.get() is self:
            raise StepError(
                "There are no steps and sleeps within a step: what it came to is kept as a whole. "
                "Let the tool itself do them, one after the other."
            )
        if self.left is not None:  # It was told so before, and has caught that.
            raise asyncio.CancelledError
        occurrence = self._counts.get(name, 0)
        self._counts[name] = occurrence + 1
        return occurrence

    async def _sleep_here(self, seconds: float) -> None:
        """Sleep while the run keeps its slot; the tool's time limit does not count it."""
        limit = self._limit
        deadline = None if limit is None else limit.when()
        if limit is not None and deadline is not None:
            limit.reschedule(None)
        begun = self._loop.time()
        await asyncio.sleep(max(0.0, seconds))
        if limit is not None and deadline is not None and not self._ended:
            limit.reschedule(deadline + self._loop.time() - begun)

    async def _leave(self, why: BaseException) -> NoReturn:
        """Stop the call's code, and wait for that: it cannot go on in this attempt."""
        self._stop(why)
        await self._wait_for_the_end()

    def _stop(self, why: BaseException) -> None:
        if self._work is None:
            raise why
        self.left = self.left or why
        self._work.cancel()

    async def _wait_for_the_end(self) -> NoReturn:
        forever = self._loop.create_future()
        self._waits.add(forever)
        try:
            await forever
        finally:
            self._waits.discard(forever)
        raise AssertionError("nobody ends it but by a cancel")

    def _check_open(self) -> None:
        if self._ended:
            raise StepError("The tool call has ended: what it has left behind can do no steps.")

    def _check_loop(self, name: str) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise StepError(
                f"{name}() belongs to the event loop that calls the tool, and this is another. A "
                f"synchronous tool calls {name}_sync() instead."
            )

    def _from_thread(
        self, name: str, work: Callable[[], Coroutine[object, object, Result]]
    ) -> futures.Future[Result]:
        """Begin something on the event loop, for a thread that waits for it."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            raise StepError(
                f"{name}_sync() would block the event loop. An asynchronous tool writes "
                f"`await run_context.{name}(...)`."
            )
        return asyncio.run_coroutine_threadsafe(self._while_open(work), self._loop)

    async def _while_open(self, work: Callable[[], Coroutine[object, object, Result]]) -> Result:
        """Do something that ends with the call, though its thread is left behind."""
        task = asyncio.current_task()
        assert task is not None
        self._waits.add(task)
        try:
            return await work()
        finally:
            self._waits.discard(task)
