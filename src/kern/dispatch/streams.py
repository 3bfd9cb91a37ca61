"""Reading a run's events, live or later, in any process."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.errors import RunNotFoundError
from kern.execution.attempt import Attempt
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.entry import read_row
from kern.run.event import RunOutputEvent
from kern.run.fold import RunState, apply_entry
from kern.run.happened import FIRST_EVENT, Happened, begun, ending_of, event_of
from kern.run.ownership import may_see
from kern.run.record import RunRecord
from kern.run.steps import AnyStep


class Reader:
    """Reads the events of one run, each once, until it ends or pauses.

    While the run executes on this event loop its steps are read from memory, once they are
    committed; else from the database. The numbers are the same in both, so a reader may change
    from one to the other in the middle.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        after: int,
        attempt: Callable[[], Attempt | None],
        changed: asyncio.Event,
        user_id: str | None = None,
        on_step: Callable[[AnyStep | None, RunState], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            store: where the run is.
            run_id: the run.
            after: the number of the last event that the reader has.
            attempt: returns the attempt at the run that executes in this process, if one does.
            changed: set whenever the run may have moved on.
            user_id: the user whose run it must be; None for any.
            on_step: called with each step, before its events are told, and with what they all say.
        """
        self._store = store
        self._run_id = run_id
        self._told = after
        self._attempt = attempt
        self._changed = changed
        self._user_id = user_id
        self._on_step = on_step
        self._state = RunState()
        self._is_announced = False

    async def events(self, look_again: Callable[[], float]) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events.

        Args:
            look_again: returns the seconds after which to look without being notified.

        Raises:
            RunNotFoundError: there is no such run.
            JournalError: a row cannot be read.
        """
        attempt: Attempt | None = None
        while True:
            self._changed.clear()
            if attempt is None or not attempt.is_settled:
                attempt = self._attempt()
            if attempt is None:
                record = await self._record()
                async for event in self._from_database(record):
                    yield event
                if await self._rests(record):
                    for event in self._end(record):
                        yield event
                    return
                if record.status not in _LIVE:
                    continue
            else:
                attempt.stream()
                is_settled = attempt.is_settled  # It may be by the time that the reader goes on.
                for event in self._from_memory(attempt, is_settled):
                    yield event
                if is_settled:
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(look_again()):
                    await self._changed.wait()

    def _from_memory(self, attempt: Attempt, is_settled: bool) -> Iterator[RunOutputEvent]:
        """Yield what has been committed of an attempt that executes here, and its end."""
        output, journal = attempt.output, attempt.journal
        at = output.started_at or output.created_at
        if journal.readable:
            at = min(at, journal.entries[0].created_at)
        yield from self._tell(output, begun(output), at)
        begin = bisect_right(
            journal.entries, self._state.last_seq, hi=journal.readable, key=attrgetter("seq")
        )
        for entry in journal.entries[begin : journal.readable]:
            happened = self._state.apply(entry)
            if self._on_step is not None:
                self._on_step(entry.step, self._state)
            yield from self._tell(output, happened, entry.created_at)
        if is_settled:
            yield from self._tell(output, self._ending(output), output.finished_at or time.time())

    async def _from_database(self, record: RunRecord) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield what the database holds of the run, but for its end."""
        output, seq = RunOutput.from_record(record), self._state.last_seq
        rows = await until_available(lambda: self._store.events(self._run_id, seq))
        if rows or _has_begun(record):  # It may have begun since the record was read.
            at = output.started_at or output.created_at
            if rows and not seq:  # A later attempt starts after what the first has done.
                at = min(at, rows[0].created_at)
            for event in self._tell(output, begun(output), at):
                yield event
        for row in rows:
            entry = read_row(row)
            happened = apply_entry(self._state, entry, row)
            if self._on_step is not None:
                self._on_step(entry.step, self._state)
            for event in self._tell(output, happened, row.created_at):
                yield event

    async def _rests(self, record: RunRecord) -> bool:
        """Say whether the run stands still, as it did before its journal was read."""
        if record.status in (RunStatus.error, RunStatus.paused):  # A person can have it go on.
            now = await self._record()
            return (now.status, now.attempt) == (record.status, record.attempt)
        return record.status.is_terminal

    def _end(self, record: RunRecord) -> Iterator[RunOutputEvent]:
        """Yield the end of a run that is read from the database."""
        output = RunOutput.from_record(record)
        begun = self._state.last_seq > 0 or _has_begun(record)
        happened = self._ending(output, begun=begun)
        yield from self._tell(output, happened, output.finished_at or output.created_at)

    async def _record(self) -> RunRecord:
        """Return the run, read before its journal: once it has ended, nothing is added to that."""
        store, run_id = self._store, self._run_id
        if not self._is_announced:
            self._is_announced = await until_available(lambda: store.read(run_id))
        record = await until_available(lambda: store.get(run_id)) if self._is_announced else None
        if record is None or not may_see(self._user_id, record.user_id):
            raise RunNotFoundError(f"There is no run {run_id!r} in {store}.")
        return record

    def _ending(self, output: RunOutput, *, begun: bool = True) -> list[Happened]:
        seq = self._state.next_event if begun else FIRST_EVENT
        return ending_of(output, seq)

    def _tell(
        self, output: RunOutput, happened: Sequence[Happened], at: float
    ) -> Iterator[RunOutputEvent]:
        for each in happened:
            if each.seq > self._told:
                self._told = each.seq
                yield event_of(each, output, at)


_LIVE = (RunStatus.pending, RunStatus.running)


def _has_begun(record: RunRecord) -> bool:
    """Say whether a run has ever executed; else it was cancelled before."""
    return record.executor is not None
