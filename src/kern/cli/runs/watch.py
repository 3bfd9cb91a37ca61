"""``kern runs watch``: follows a run, or all that have not ended, as they go on."""

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from kern.cli.runs.listing import runs_table
from kern.cli.terminal import STYLES, cell, console
from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.dispatch.explanation import Reason
from kern.dispatch.runtime import Runtime
from kern.errors import DatabaseUnavailableError
from kern.operations.looking import Look, look_at
from kern.operations.timeline import describe
from kern.run.base import RunStatus
from kern.run.duration import format_duration
from kern.run.event import RunEvent, RunOutputEvent
from kern.run.printable import printable
from kern.run.record import RunRecord

# The order in which runs are watched: what executes comes first.
_LIVE = (RunStatus.running, RunStatus.pending, RunStatus.paused)

# How often runs are looked at, in seconds.
_OFTEN = 1.0

# How many runs are followed where there is no screen that bounds them.
_FOLLOWED = 1000

# What a terminal shows besides the rows of a table, in lines, and besides a line, in characters.
_AROUND = 4

_FAILED = (RunEvent.run_error, RunEvent.tool_call_error, RunEvent.run_cancelled)


async def watch_run(runtime: Runtime, run_id: str) -> RunStatus:
    """Print what happens in a run until it ends or pauses, and return its status.

    Raises:
        RunNotFoundError: there is no such run.
        JournalError: what is stored of it cannot be read.
    """
    shown = console()
    record = await runtime.store.get(run_id)
    began = 0.0 if record is None else record.created_at.timestamp()
    with _LiveText(shown) if shown.is_terminal else _PlainText(shown) as text:
        looking = asyncio.create_task(_look_on(runtime.store, run_id, text))
        try:
            async with aclosing(runtime.stream(run_id, 0)) as events:
                async for event in events:
                    _tell(event, text, began)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
    record = await runtime.store.get(run_id)
    status = RunStatus.cancelled if record is None else record.status
    shown.print(Text(f"{printable(run_id)} is {status}", STYLES[status]))
    return status


async def _look_on(store: Store, run_id: str, text: "_PlainText") -> None:
    """Say over and over what a run is doing, or why nobody executes it."""
    while True:
        with suppress(DatabaseUnavailableError):  # The stream waits for it, too.
            record = await store.get(run_id)
            if record is not None:
                text.standing(await look_at(store, [record], with_steps=True), run_id)
        await asyncio.sleep(_OFTEN)


def _tell(event: RunOutputEvent, text: "_PlainText", began: float) -> None:
    detail = describe(event)
    match event.event:
        case RunEvent.run_content:
            text.add(event.content or "")
            return
        case RunEvent.run_content_completed:
            return
        case RunEvent.model_request_completed:
            text.end()
            detail = ""
        case RunEvent.run_content_voided:
            detail = "what was written of this answer is void"
        case RunEvent.run_resumed:
            detail = "by another attempt"
        case RunEvent.run_completed:
            detail = ""
    style = "red" if event.event in _FAILED else "dim"
    after = format_duration(timedelta(seconds=event.created_at - began))
    text.line(Text(f"{event.seq:>4} {after:>7}  ", style).append(cell(f"{event.event} {detail}")))


class _PlainText:
    """Prints text as it comes, and lines between it."""

    def __init__(self, shown: Console) -> None:
        self._console = shown
        self._text = ""
        self._reason: Reason | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def add(self, piece: str) -> None:
        """Show a piece of text."""
        self._text += piece
        self._print(piece)

    def end(self) -> None:
        """Have the text that was shown end with a line."""
        shown, self._text = self._text, ""
        if shown and not shown.endswith("\n"):
            self._console.print()

    def line(self, line: Text) -> None:
        """Show a line, below the text."""
        self.end()
        self._console.print(line, soft_wrap=True)

    def standing(self, look: Look, run_id: str) -> None:
        """Show why nobody executes the run, whenever that is for another reason."""
        why = look.whys.get(run_id)
        reason = None if why is None else why.reason
        if why is not None and reason not in (self._reason, Reason.executing):
            self.line(cell(why.text, "yellow"))
        self._reason = reason

    def _print(self, text: str) -> None:
        self._console.print(Text(printable(text)), end="", soft_wrap=True)


class _LiveText(_PlainText):
    """The same in a terminal: what is being written is below all else, with a spinner."""

    def __init__(self, shown: Console) -> None:
        super().__init__(shown)
        self._live = Live(console=shown, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        self._live.start()
        self._show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        self._live.stop()

    def add(self, piece: str) -> None:
        self._text += piece
        self._show()

    def end(self) -> None:
        text, self._text = self._text, ""
        self._show()
        self._live.refresh()
        if text:
            self._console.print(Text(printable(text).removesuffix("\n")))

    def standing(self, look: Look, run_id: str) -> None:
        """Show beside the spinner what the run is doing, or why nobody executes it."""
        most = max(20, self._console.width - _AROUND)
        self._spinner.update(text=cell(look.why(run_id), "dim", most))

    def _show(self) -> None:
        # Of a text that is longer than the screen its end is shown.
        width, height = self._console.size
        lines = Text(printable(self._text[-width * height :])).wrap(self._console, width)
        self._live.update(Group(*lines[-(height - _AROUND) :], self._spinner))


async def watch_all(database: Database) -> None:
    """Show the runs that have not ended, those that execute first, until cancelled."""
    store = await database.store()
    shown = console()
    if not shown.is_terminal:
        await _print_changes(store, shown)
    with Live(console=shown, auto_refresh=False, screen=True) as live:
        while True:
            load = await store.load()
            records = await _live(store, max(1, shown.size.height - _AROUND))
            look = await look_at(store, records, with_steps=True)
            head = Text(
                f"{load.running} running, {load.due} due, {load.waiting} waiting for another run, "
                f"{load.delayed} delayed    {datetime.now():%H:%M:%S}    Ctrl-C ends",
                "bold",
            )
            rows = runs_table(look, shown.width) if records else Text("No runs.")
            live.update(Group(head, Text(), rows), refresh=True)
            await asyncio.sleep(_OFTEN)


async def _live(store: Store, limit: int) -> list[RunRecord]:
    """Return runs that have not ended, as many as there is room for."""
    found: list[RunRecord] = []
    for status in _LIVE:
        if len(found) < limit:
            found += await store.find(RunFilter(statuses=(status,)), limit - len(found))
    # One may have moved on meanwhile.
    return [*{each.run_id: each for each in found}.values()]


async def _print_changes(store: Store, shown: Console) -> None:
    """Print a line whenever a run has come, or moved on, or waits for another reason."""
    known: dict[str, tuple[object, ...]] = {}
    while True:
        records = await _live(store, _FOLLOWED)
        found = {each.run_id for each in records}
        gone = await asyncio.gather(*(store.get(each) for each in known if each not in found))
        told = dict[str, tuple[object, ...]]()
        look = await look_at(store, records, with_steps=True)
        # What executes comes first, and then what was accepted first.
        oldest_first = records[::-1]
        ordered = sorted(oldest_first, key=lambda record: _LIVE.index(record.status))
        for record in [*(each for each in gone if each is not None), *ordered]:
            why, before = look.whys.get(record.run_id), known.get(record.run_id)
            moves_on = why is None and before is not None and record.run_id in found
            reason = before[2] if before is not None and moves_on else why and why.reason
            now = record.status, record.attempt, reason
            if before != now:
                text = look.why(record.run_id)
                shown.print(
                    cell(
                        f"{datetime.now():%H:%M:%S} {record.run_id} {record.status} "
                        f"agent {record.agent_id} attempt {record.attempt}{text and f': {text}'}"
                    )
                )
            if record.run_id in found:
                told[record.run_id] = now
        known = told
        await asyncio.sleep(_OFTEN)
