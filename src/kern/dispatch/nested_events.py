"""The events of a run with those of its children among them, as both come."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from kern.errors import RunNotFoundError, described
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.fold import RunState
from kern.run.requirement import place_of
from kern.run.steps import AnyStep, Paused
from kern.run.tool_steps import ChildBegun, ToolEnded

logger = logging.getLogger("kern")


class Read(Protocol):
    """Yields the events of a run after the one of a number, until it ends or pauses."""

    def __call__(
        self, run_id: str, after: int, *, nested: bool
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield them, those of its children among them if ``nested``."""


# How many events are held for a reader that is slower; after how many seconds it is looked again
# for a child that is about to be accepted; and how long a pause, or a cancel, waits for those of
# the children.
_HELD, _SOON, _PAUSE = 256, 0.1, 1.0

# What comes to a run and to its children that are at work.
_WITH_CHILDREN = (RunEvent.run_paused, RunEvent.run_cancelled)


class NestedEvents:
    """Yields the events of a run and its children: a child's before the result of its call."""

    def __init__(self, read: Read, after: int) -> None:
        """Know no child yet.

        Args:
            read: reads a child.
            after: the number of the last event of the run that the reader has.
        """
        self._read = read
        self._after = after
        self._events: asyncio.Queue[RunOutputEvent | None] = asyncio.Queue(_HELD)
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, int] = {}
        self._pauses: dict[str, int] = {}
        self._ended: set[str] = set()
        # Those that come before the next event of the run: their calls have ended with it.
        self._before: set[asyncio.Task[None]] = set()

    def step(self, step: AnyStep | None, state: RunState) -> None:
        """Begin to read a child with its call; know of the call's end.

        Args:
            step: a step of the run.
            state: what its steps say, this one included.
        """
        if isinstance(step, ChildBegun):
            if step.background:
                return  # Its run does not wait for it, and nor do those who read the run.
            reading = self._reading.get(step.run_id)
            if reading is None or reading.done():
                self._ended.discard(step.run_id)
                self._reading[step.run_id] = asyncio.create_task(self._read_child(step.run_id))
        elif isinstance(step, Paused) and state.next_event <= self._after + 1:
            # The reader has what came before this pause, of the children that wait, too.
            for run_id in self._waiting(step, state):
                self._pauses[run_id] = self._pauses.get(run_id, 0) + 1
        elif isinstance(step, ToolEnded) and self._reading:
            ended = state.children_of_last.get(step.place)
            if ended is not None and ended in self._reading:
                self._ended.add(ended)
                child = self._reading.pop(ended)
                if state.next_event <= self._after + 1:  # The reader has all of it.
                    child.cancel()
                else:
                    self._before.add(child)

    async def events(
        self, own: AsyncGenerator[RunOutputEvent, None]
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events.

        Args:
            own: those of the run; its reader calls :meth:`step`.

        Raises:
            Exception: what reading the run raises.
        """
        reading = asyncio.create_task(self._read_own(own))
        try:
            while (event := await self._events.get()) is not None:
                yield event
            await reading
        finally:
            tasks = [reading, *self._reading.values(), *self._before]
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)

    async def _read_own(self, own: AsyncGenerator[RunOutputEvent, None]) -> None:
        try:
            async with aclosing(own):
                async for event in own:
                    if self._before:
                        await asyncio.wait(self._before)
                        self._before.clear()
                    if event.event in _WITH_CHILDREN and self._reading:
                        await asyncio.wait(self._reading.values(), timeout=_PAUSE)
                    await self._events.put(event)
        except Exception:
            await self._events.put(None)
            raise
        await self._events.put(None)

    def _waiting(self, step: Paused, state: RunState) -> set[str]:
        children = state.children_of_last
        places = {place_of(each) for each in step.requirements}
        return {run_id for place, run_id in children.items() if place in places}

    async def _read_child(self, run_id: str) -> None:
        pauses = self._pauses.pop(run_id, 0)
        while True:
            try:
                if pauses:
                    self._told[run_id] = await self._pause_of(run_id, pauses)
                    pauses = 0
                after = self._told.get(run_id, 0)
                async with aclosing(self._read(run_id, after, nested=True)) as events:
                    async for event in events:
                        if event.run_id == run_id:
                            self._told[run_id] = event.seq
                        await self._events.put(event)
                return
            except RunNotFoundError:
                if run_id in self._ended:
                    return
                await asyncio.sleep(_SOON)  # It is about to be accepted.
            except Exception as error:  # Its parent can be read all the same.
                logger.warning(
                    "the events of the child run %s end here: %s", run_id, described(error)
                )
                return

    async def _pause_of(self, run_id: str, count: int) -> int:
        """Return the number of the event with which a run has paused for so many times."""
        async with aclosing(self._read(run_id, 0, nested=False)) as events:
            async for event in events:
                count -= event.event is RunEvent.run_paused
                if not count:
                    return event.seq
        return 0
