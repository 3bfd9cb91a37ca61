"""The journal of one run, as one attempt writes it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from kern.aio.batch import to_the_end
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.memory.changes import MemoryChanges
from kern.models.base import Model, ModelResponse
from kern.run.agent import RunOutput
from kern.run.codec import join_halves
from kern.run.entry import Entry, read_row, write_row
from kern.run.event import RunOutputEvent
from kern.run.fold import RunState, apply_entry
from kern.run.happened import Happened, begun, ending_of, event_of
from kern.run.record import JournalRow
from kern.run.steps import (
    PIECE_KINDS,
    AnswerKept,
    AnyStep,
    CallBegun,
    CallBroken,
    ModelAnswered,
    Paused,
    TextSlice,
)

logger = logging.getLogger("kern")

Emit = Callable[[RunOutputEvent], None]

# How long pieces of text gather before they are written, in seconds.
_SLICE = 0.03


class StaleAttemptError(Exception):
    """The run has a later attempt, or has ended; this one must stop."""


class Journal:
    """Numbers what happens in a run, and writes it down.

    Steps are committed before the next one starts. Pieces of an answer are written only while
    somebody reads the run, soon but not at once.

    Attributes:
        state: what the steps say, the last one included.
        entries: the steps, those of earlier attempts included.
        readable: how many of the entries readers in this process may see: they are committed.
        on_write: called when there is more to read, while somebody reads the run.
        leaves_state: whether the state of the session is another's to write.
    """

    def __init__(
        self,
        store: Store | None,
        output: RunOutput,
        attempt: int,
        emit: Emit | None,
        streamed: bool,
        *,
        charged: bool = False,
        told: int | None = None,
    ) -> None:
        """Begin with nothing; see :meth:`restore`.

        Args:
            store: where the rows go; None for nowhere.
            output: the run.
            attempt: who writes.
            emit: called with each event, where the run's own caller reads them: with pieces of
                text as they come, with all others once they are committed.
            streamed: whether somebody else reads them.
            charged: whether what its calls use counts towards budgets of the run's user.
            told: the number of the last event of earlier attempts that the run's own caller has;
                None where nothing of these is told.
        """
        self.state: RunState = RunState()
        self.entries: list[Entry] = []
        self.readable: int = 0
        self.on_write: Callable[[str], None] = _tell_nobody
        self.leaves_state = False
        self._store = store
        self._output = output
        self._attempt = attempt
        self._charged = charged
        self._told = told
        self._emit = emit
        self._streamed = streamed
        self._has_pieces = False
        self._is_closed = False
        self._unwritten: list[Entry] = []
        self._untold: list[tuple[Entry, list[Happened]]] = []
        self._changes: dict[int, MemoryChanges] = {}
        self._pending: list[str] = []
        self._writing = asyncio.Lock()
        self._flush: asyncio.Task[None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether anybody reads the events as they come."""
        return self._streamed or self._emit is not None

    @property
    def emit(self) -> Emit | None:
        """Given each event, where the run's own caller reads them; those of its children, too."""
        return self._emit

    @property
    def unfinished_text(self) -> str:
        """The text so far of an answer that is under way."""
        told = [] if self.state.call is None else self.state.call.texts
        return join_halves("".join([*told, *self._pending]))

    @property
    def fold_before(self) -> int:
        """The number before which pieces have served their purpose, once this is closed."""
        return self.state.last_seq + 1 if self._has_pieces else 0

    @property
    def rows(self) -> list[JournalRow]:
        """All steps so far, those of earlier attempts included, without pieces."""
        run_id = self._output.run_id
        return [write_row(run_id, each) for each in self.entries if not _is_piece(each)]

    def restore(self, row: JournalRow) -> None:
        """Take in a row that an earlier attempt has written.

        Raises:
            JournalError: it is damaged, or was written by a newer kern.
        """
        entry = read_row(row)
        happened = apply_entry(self.state, entry, row)
        if self._emit is not None and self._told is not None:
            new = [each for each in happened if each.seq > self._told]
            self._tell(self._emit, new, row.created_at)
        self.entries.append(entry)
        self.readable += 1
        self._has_pieces |= entry.step is not None and entry.step.piece

    def stream(self) -> None:
        """Write pieces too from now on, those that there are at once: somebody reads the run."""
        if not self._streamed:
            self._streamed = True
            self._flush_soon()

    def begin(self) -> None:
        """Notify the run's own caller that it has begun."""
        if self._emit is not None and self._attempt == 1:
            self._tell(self._emit, begun(self._output), time.time())

    def begin_call(self) -> None:
        """Have a model call begin."""
        if self.is_read:
            self.keep(CallBegun())

    def text(self, piece: str) -> None:
        """Add a piece to the answer that is under way."""
        self._pending.append(piece)
        if self._streamed:
            self._flush_soon()
        elif self._emit is not None:
            self._hand_out()

    async def answer_kept(self, handle: str, origin: str | None = None) -> None:
        """Commit that the provider keeps the answer of the call that is under way.

        Args:
            handle: what it is picked up with.
            origin: whom the handle means something to, or None for anybody.

        Raises:
            StaleAttemptError: the run has a later attempt.
        """
        self._add(AnswerKept(handle, origin), self.state.call_event)
        await self.commit()

    def answered(
        self,
        response: ModelResponse,
        starts: tuple[int, ...],
        history: tuple[str, ...],
        fallback: Model | None = None,
    ) -> None:
        """Have the call that is under way end with its answer, written with what comes next.

        Args:
            response: the answer.
            starts: the tool calls that begin with it, by their place.
            history: the runs that the model was shown before this one.
            fallback: who answered, where it was not the agent's model.
        """
        call, message = self.state.call, response.message
        if call is not None and not message.text.startswith("".join(call.texts)):
            self.break_call()  # The provider has changed its mind about its text.
        self._pending.clear()
        slices = () if self.state.call is None else self.state.call.slices
        self._cover(
            ModelAnswered(
                message,
                response.metrics,
                slices,
                starts,
                history,
                response.model,
                response.id,
                None if fallback is None else (fallback.provider, fallback.id),
            )
        )

    def break_call(self) -> None:
        """Have the call that is under way end without an answer, if readers may know of it."""
        call = self.state.call
        if call is None and not self._pending:
            return
        text = self.unfinished_text
        self._pending.clear()
        self._cover(CallBroken(text, () if call is None else call.slices))

    def keep(self, step: AnyStep) -> None:
        """Have a step written together with what comes next, the run's end at the latest."""
        self._add(step, self.state.next_event)

    def keep_with(self, step: AnyStep, changes: MemoryChanges) -> None:
        """Have a step written as :meth:`keep` has it, with what follows from it, or neither."""
        self._changes[self.state.last_seq + 1] = changes
        self.keep(step)

    def tell(self, step: AnyStep) -> None:
        """Have a step written soon where somebody reads the run, else with what comes next."""
        if self._is_closed:
            return
        self.keep(step)
        if self.is_read:
            self._flush_soon()

    async def commit(self) -> None:
        """Commit everything that was kept.

        Raises:
            StaleAttemptError: the run has a later attempt.
        """
        await to_the_end(self._write, partial(self._write, waits=False))

    def end(self) -> None:
        """Notify the run's own caller of its end, which is stored; others see it in the run."""
        if self._emit is not None:
            output, seq = self._output, self.state.next_event
            happened = ending_of(output, seq)
            self._tell_until(self.state.last_seq)
            self._tell(self._emit, happened, time.time())

    async def close(self) -> list[JournalRow]:
        """Write nothing more; return the rows that are to go with the run's end."""
        self._is_closed = True
        self.break_call()
        if self._flush is not None:
            self._flush.cancel()
            await asyncio.wait({self._flush})
            self._flush = None  # Its end refers to this, and this to it.
        async with self._writing:
            rows, self._unwritten = self._rows(self._unwritten), []
        # What says of changes that they were made goes with them only.
        return [each for each in rows if each.seq not in self._changes] if self._changes else rows

    def _cover(self, step: ModelAnswered | CallBroken) -> None:
        """Add a step that stands for the pieces of its call too."""
        self._unwritten = [each for each in self._unwritten if not _is_piece(each)]
        self._add(step, self.state.call_event)

    def _add(self, step: AnyStep, event: int) -> None:
        entry = Entry(self.state.last_seq + 1, event, step, time.time())
        if self._emit is None:
            self.state.go_on(entry)
        else:
            self._untold.append((entry, self.state.apply(entry)))
        self.entries.append(entry)
        if self._store is not None:
            self._unwritten.append(entry)
            if self._streamed:
                self._flush_soon()
        if self._emit is not None and (
            self._store is None or (step.piece and len(self._untold) == 1)
        ):
            self._tell_until(entry.seq)

    def _tell_until(self, seq: int) -> None:
        """Notify the run's own caller of the steps up to a row."""
        while self._emit is not None and self._untold and self._untold[0][0].seq <= seq:
            entry, happened = self._untold.pop(0)
            self._tell(self._emit, happened, entry.created_at)

    def _tell(self, emit: Emit, happened: list[Happened], at: float) -> None:
        output = self._output
        for each in happened:
            emit(event_of(each, output, at))

    def _hand_out(self) -> None:
        """Let readers have the text that has come since the last piece."""
        text, half = join_halves("".join(self._pending)), ""
        if "\ud800" <= text[-1:] <= "\udbff":  # The other half of a character is on its way.
            text, half = text[:-1], text[-1]
        self._pending = [half] if half else []
        if text:
            if self.state.call is None:
                self.keep(CallBegun())
            self.keep(TextSlice(text))

    def _flush_soon(self) -> None:
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        with suppress(StaleAttemptError):  # The next step, or the run's end, will be told as well.
            # What came while the last slice was being written has started no task of its own.
            while self._pending or self._unwritten:
                await asyncio.sleep(_SLICE)
                self._hand_out()
                await self._write()

    async def _write(self, *, waits: bool = True) -> None:
        store, run_id = self._store, self._output.run_id
        async with self._writing:
            unwritten, readable = self._unwritten, len(self.entries)
            if unwritten and isinstance(unwritten[-1].step, Paused):
                # It is written with the run's row: who is told of a pause may answer it.
                unwritten, readable = unwritten[:-1], readable - 1
            rows = self._rows(unwritten)
            if store is None or not rows:
                return
            self._has_pieces |= any(row.type in PIECE_KINDS for row in rows)
            append = partial(store.append, run_id, self._attempt, rows, self._streamed)
            if self._changes and (changes := self._changes_with(rows)):
                values = run_id, self._attempt, rows, self._streamed, changes
                append = partial(store.memories.append, *values)
            appended = await (until_available(append) if waits else append())
            if appended is None:
                raise StaleAttemptError(f"run {run_id}: attempt {self._attempt} is stale")
            log_lost(run_id, appended.lost)
            written = {row.seq for row in rows}
            if self._changes:
                self._changes = {
                    seq: each for seq, each in self._changes.items() if seq not in written
                }
            self._unwritten = [each for each in self._unwritten if each.seq not in written]
            self.readable = readable
            self._tell_until(self.entries[readable - 1].seq)
        if self._streamed:
            self.on_write(run_id)

    def _changes_with(self, rows: list[JournalRow]) -> dict[int, MemoryChanges]:
        """Return what is changed with rows, by the number of the row that says so."""
        return {each.seq: self._changes[each.seq] for each in rows if each.seq in self._changes}

    def _rows(self, entries: list[Entry]) -> list[JournalRow]:
        """Return the rows for entries; pieces only while somebody reads them."""
        run_id = self._output.run_id
        rows = [
            write_row(run_id, each, charged=self._charged)
            for each in entries
            if self._streamed or not _is_piece(each)
        ]
        if self.leaves_state:
            rows = [each if each.state is None else replace(each, state=None) for each in rows]
        return rows


def log_lost(run_id: str, keys: Sequence[str]) -> None:
    """Log which keys of the session's state a run has changed in vain."""
    if keys:
        logger.warning(
            "run %s: what it did with %s in the state of its session was not stored: a run that "
            "was accepted later has changed it before",
            run_id,
            ", ".join(map(repr, keys)),
            extra={"run_id": run_id, "keys": [*keys]},
        )


def _tell_nobody(_: str) -> None:
    """Be there where nobody executes the attempt: nobody reads it either."""


def _is_piece(entry: Entry) -> bool:
    return entry.step is not None and entry.step.piece
