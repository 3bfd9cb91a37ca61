"""Waiting for a run and reading its events, in any process, through outages of the database."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from copy import copy
from functools import partial
from typing import Literal, TypeAlias

from kern.aio.retry import until_available
from kern.db.values import Kind
from kern.dispatch.here import Here
from kern.dispatch.nested_events import NestedEvents
from kern.dispatch.streams import Reader
from kern.errors import RunNotFoundError
from kern.execution.attempt import Attempt
from kern.execution.executor import Executor
from kern.execution.nesting import waiting_for_a_run
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.event import RunOutputEvent
from kern.run.ownership import may_see
from kern.run.record import RunRecord

logger = logging.getLogger("kern")

Until: TypeAlias = Literal["pause", "end"]
"""What a wait for a run ends at: also at a pause, or only at its end."""


# What the first look at a run may take, though it is waited for less long, in seconds.
_FIRST_LOOK = 1.0


class Waiting:
    """Waits for runs on one event loop; notifications wake it, and it looks without them too."""

    def __init__(self, here: Here, executor: Executor) -> None:
        """Prepare.

        Args:
            here: what the parts of the runtime share.
            executor: what executes here.
        """
        self._store = here.store
        self._executor = executor
        self._subscriptions = here.subscriptions
        self._heartbeat = here.settings.heartbeat

    async def wait(
        self, run_id: str, timeout: float | None, until: Until, user_id: str | None = None
    ) -> RunOutput | None:
        """Wait for a run's end, or its pause, and return the run; None where it is not known.

        Args:
            run_id: the run, as the user calls it.
            timeout: seconds to wait at most, or None for any.
            until: whether to return at a pause.
            user_id: the user whose run it must be; None for any.

        Raises:
            TimeoutError: that has not come after ``timeout`` seconds.
        """
        reasons = [f"run {run_id} has not ended"]
        if timeout is None:
            return await self._wait(run_id, user_id, until, reasons)
        limit = asyncio.timeout(max(timeout, _FIRST_LOOK))
        due = asyncio.get_running_loop().time() + timeout
        try:
            async with limit:
                looked = partial(limit.reschedule, due)
                return await self._wait(run_id, user_id, until, reasons, looked)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"After {timeout:g} s {reasons[-1].rstrip('.')}. It goes on."
            ) from None

    async def stream(
        self, run_id: str, after: int, user_id: str | None = None, *, nested: bool = False
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events of a run, until it ends or pauses.

        Args:
            run_id: the run, as the user calls it.
            after: the number of the last event that the reader has, or 0.
            user_id: the user whose run it must be; None for any.
            nested: whether to yield those of its children among them.

        Raises:
            RunNotFoundError: there is no such run.
            JournalError: a row of its journal cannot be read.
        """
        found = await self._found(run_id, user_id)
        if found is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self._store}.")
        # At once: a run that was just accepted here asks its model in a moment.
        self._executor.on_signal(found, Kind.read)
        await until_available(self._subscriptions.listen)
        with waiting_for_a_run(), self._subscriptions.to(found) as changed:
            attempt = partial(self._attempt, found, user_id)
            children = NestedEvents(self.stream, after) if nested else None
            on_step = None if children is None else children.step
            reader = Reader(self._store, found, after, attempt, changed, user_id, on_step)
            events = reader.events(lambda: self._look_again)
            if children is not None:
                events = children.events(events)
            async with aclosing(events):
                async for event in events:
                    yield event

    async def _found(self, chosen: str, user_id: str | None) -> str | None:
        """Return the id of the run that a user calls ``chosen``; None where it is not known."""
        if user_id is None:
            return chosen
        record = await until_available(lambda: self._store.get_for(chosen, user_id))
        return None if record is None else record.run_id

    def _attempt(self, run_id: str, user_id: str | None) -> Attempt | None:
        """Return the attempt at the run that executes here, if it is the user's."""
        attempt = self._executor.attempt(run_id)
        seen = attempt is not None and may_see(user_id, attempt.output.user_id)
        return attempt if seen else None

    @property
    def _look_again(self) -> float:
        return self._heartbeat if self._subscriptions.is_notified else min(1.0, self._heartbeat)

    async def _wait(
        self,
        chosen: str,
        user_id: str | None,
        until: Until,
        reasons: list[str],
        looked: Callable[[], None] = lambda: None,
    ) -> RunOutput | None:
        """Wait without a limit.

        Args:
            chosen: the run, as the user calls it.
            user_id: the user whose run it must be; None for any.
            until: whether to return at a pause.
            reasons: is given why the run does not end, where that is known.
            looked: called after each look at the run.
        """
        run_id = await self._found(chosen, user_id)
        if run_id is None:
            return None
        with waiting_for_a_run(), self._subscriptions.to(run_id) as changed:
            await until_available(self._subscriptions.listen)
            await asyncio.sleep(0)  # A run that was just accepted begins to execute.
            # A run that comes after the first look would not be watched, so it is not known.
            look: Callable[[str], Awaitable[RunRecord | None]] = self._store.watch
            while True:
                changed.clear()
                record = None
                attempt = self._attempt(run_id, user_id)
                if attempt is None:
                    record = await until_available(partial(look, run_id))
                    look = self._store.get
                    if record is None or not may_see(user_id, record.user_id):
                        return None
                    if _is_over(record, until):
                        return RunOutput.from_record(record)
                looked()
                is_silent = await self._silence(changed)
                if attempt is not None and attempt.is_settled:
                    return copy(attempt.output)
                if record is not None and is_silent:
                    await self._explain(record, reasons)

    async def _silence(self, changed: asyncio.Event) -> bool:
        """Wait until it is time to look again; say whether no notification came before."""
        loop = asyncio.get_running_loop()
        # One timer, not a time limit: nothing has to be interrupted.
        timer = loop.call_later(self._look_again, changed.set)
        try:
            await changed.wait()
        finally:
            timer.cancel()
        return loop.time() >= timer.when()

    async def _explain(self, record: RunRecord, reasons: list[str]) -> None:
        """Say once why a run does not begin, if no living process serves its agent."""
        if record.status is not RunStatus.pending or record.waiting or len(reasons) > 1:
            return
        alive = await until_available(lambda: self._store.processes.find(3 * self._heartbeat))
        if any(record.agent_id in process.agents for process in alive):
            return
        refusal = "" if record.refusal is None else f" One that tried said: {record.refusal}"
        reasons.append(
            f"run {record.run_id} has not begun: no living process serves the agent "
            f"{record.agent_id!r}. Start one: kern worker module:agent.{refusal}"
        )
        logger.warning("%s", reasons[-1])


def _is_over(record: RunRecord, until: Until) -> bool:
    is_paused = record.status is RunStatus.paused
    return record.status.is_terminal or (until == "pause" and is_paused)
