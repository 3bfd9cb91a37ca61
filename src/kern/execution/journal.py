"""The journal of one run, as one attempt writes it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kern.aio.batch import to_the_end
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.journal import write_event
from kern.run.record import JournalRow
from kern.run.tool import ToolExecution

Emit = Callable[[RunOutputEvent], None]

# How long pieces of text gather before they are written, in seconds.
_SLICE = 0.03


class StaleAttemptError(Exception):
    """The run has a later attempt, or has ended; this one must stop."""


class Journal:
    """Numbers what happens in a run, and writes it down.

    Steps are committed before the next one starts. What only a reader of the stream wants to
    know (beginnings, pieces of text) is written while somebody reads, soon but not at once.

    Attributes:
        streamed: whether somebody reads the run's events as they come.
        fold_before: the number before which pieces of text have served their purpose.
    """

    def __init__(
        self,
        store: Store | None,
        output: RunOutput,
        attempt: int,
        last_seq: int,
        emit: Emit | None,
        streamed: bool,
    ) -> None:
        """Go on after the row ``last_seq``.

        Args:
            store: where the rows go; None for nowhere.
            output: the run.
            attempt: who writes.
            last_seq: the number of the journal's last row, or 0.
            emit: called with each event as it happens, where the run's own caller reads them.
            streamed: whether somebody else reads them.
        """
        self.streamed = streamed
        self.fold_before = 0
        self._store = store
        self._output = output
        self._attempt = attempt
        self._seq = last_seq
        self._emit = emit
        self._unwritten: list[JournalRow] = []
        self._writing = asyncio.Lock()
        self._flush: asyncio.Task[None] | None = None
        self._text: list[str] = []

    @property
    def is_read(self) -> bool:
        """Whether anybody reads the events as they come."""
        return self.streamed or self._emit is not None

    def note(
        self,
        event: RunEvent,
        payload: dict[str, object] | None = None,
        *,
        content: str | None = None,
        tool: ToolExecution | None = None,
    ) -> None:
        """Notify those who read the run's events; write the event down only for them."""
        if self.is_read:
            self._add_text()
            self._add(event, payload or {}, content, tool)
            if self.streamed:
                self._flush_soon()

    def text(self, piece: str) -> None:
        """Notify those who read the run's events of a piece of text."""
        if self._emit is not None and not self.streamed:
            self._add(RunEvent.run_content, {"text": piece}, piece, None)
        elif self.streamed:
            self._text.append(piece)
            self._flush_soon()

    async def record(
        self,
        event: RunEvent,
        payload: dict[str, object],
        *,
        content: str | None = None,
        tool: ToolExecution | None = None,
    ) -> None:
        """Commit a step, with everything that was noted before it.

        Raises:
            StaleAttemptError: the run has a later attempt.
        """
        self.keep(event, payload, content=content, tool=tool)
        await to_the_end(self._write, partial(self._write, waits=False))

    def keep(
        self,
        event: RunEvent,
        payload: dict[str, object],
        *,
        content: str | None = None,
        tool: ToolExecution | None = None,
    ) -> None:
        """Have a step written together with what comes next, the run's end at the latest."""
        self._add_text()
        self._add(event, payload, content, tool)
        if event is RunEvent.model_request_completed:
            self.fold_before = self._seq
        if self.streamed:
            self._flush_soon()

    def end(self, event: RunEvent, content: str | None) -> None:
        """Notify the run's own caller of its end; other readers see it in the run itself."""
        if self._emit is not None:
            output = self._output
            self._emit(
                RunOutputEvent(
                    event,
                    output.run_id,
                    output.session_id,
                    output.agent_id,
                    self._seq + 1,
                    content,
                )
            )

    async def close(self) -> list[JournalRow]:
        """Write nothing more; return the rows that are to go with the run's end."""
        if self._flush is not None:
            self._flush.cancel()
            await asyncio.wait({self._flush})
        self._add_text()
        async with self._writing:
            rows, self._unwritten = self._unwritten, []
        # Pieces whose whole is written with them would be folded away at once.
        pieces, before = RunEvent.run_content.value, self.fold_before
        return [row for row in rows if row.type != pieces or row.seq > before]

    def _add_text(self) -> None:
        if self._text:
            piece = "".join(self._text)
            self._text.clear()
            self._add(RunEvent.run_content, {"text": piece}, piece, None)

    def _add(
        self,
        event: RunEvent,
        payload: dict[str, object],
        content: str | None,
        tool: ToolExecution | None,
    ) -> None:
        output = self._output
        self._seq += 1
        if self._store is not None and (self.streamed or event is not RunEvent.run_content):
            row = JournalRow(output.run_id, self._seq, *write_event(event, payload))
            self._unwritten.append(row)
        if self._emit is not None:
            self._emit(
                RunOutputEvent(
                    event,
                    output.run_id,
                    output.session_id,
                    output.agent_id,
                    self._seq,
                    content,
                    tool,
                )
            )

    def _flush_soon(self) -> None:
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        with suppress(StaleAttemptError):  # The next step, or the run's end, will be told as well.
            # What came while the last slice was being written has started no task of its own.
            while self._text or self._unwritten:
                await asyncio.sleep(_SLICE)
                self._add_text()
                await self._write()

    async def _write(self, *, waits: bool = True) -> None:
        store = self._store
        async with self._writing:
            rows = list(self._unwritten)
            if store is None or not rows:
                return
            run_id = self._output.run_id
            append = partial(store.append, run_id, self._attempt, rows, self.streamed)
            if not await (until_available(append) if waits else append()):
                raise StaleAttemptError(f"run {run_id}: attempt {self._attempt} is stale")
            self._unwritten = self._unwritten[len(rows) :]
