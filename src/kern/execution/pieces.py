"""What tools yield while they are at work, on its way to those who read the run."""

import asyncio
from collections import deque
from typing import NamedTuple

from kern.execution.journal import Journal
from kern.run.custom import event_kind, event_values
from kern.run.event import CustomEvent
from kern.run.tool_steps import CustomHappened, ToolSlice

# How long texts gather before they are a piece, in seconds.
_SLICE = 0.03


class _Call(NamedTuple):
    """A call that yields.

    Attributes:
        turn: the number of its turn.
        place: its place in the turn.
        shown: whether its result is a part of the run's answer.
    """

    turn: int
    place: int
    shown: bool


class ToolPieces:
    """Takes what tools yield, in any thread, and has it written as steps, on the event loop."""

    def __init__(self, journal: Journal) -> None:
        """Take nothing yet.

        Args:
            journal: of the run.
        """
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[_Call, str | CustomHappened]] = deque()
        self._is_due = False

    def take(self, turn: int, place: int, shown: bool, item: object) -> None:
        """Take what a call has yielded; it may be called in any thread.

        Args:
            turn: the number of its turn.
            place: its place in the turn.
            shown: whether its result is a part of the run's answer.
            item: a text or a custom event; anything else is only a part of the result.

        Raises:
            TypeError: an event holds what has no JSON form.
        """
        call = _Call(turn, place, shown)
        if isinstance(item, CustomEvent):
            self._items.append((call, CustomHappened(place, event_kind(item), event_values(item))))
        elif isinstance(item, str) and item:
            self._items.append((call, item))
        else:
            return
        if self._journal.is_read and not self._is_due:
            self._is_due = True
            self._loop.call_soon_threadsafe(self._loop.call_later, _SLICE, self.flush)

    def flush(self) -> None:
        """Have everything written that calls have yielded which have not ended."""
        self._is_due = False
        if not self._items:
            return
        last: _Call | None = None
        texts: list[str] = []
        while self._items:
            call, item = self._items.popleft()
            if call != last or isinstance(item, CustomHappened):
                self._tell(last, texts)
                last, texts = call, []
            if isinstance(item, str):
                texts.append(item)
            elif self._is_open(call):
                self._journal.tell(item)
        self._tell(last, texts)

    def _tell(self, call: _Call | None, texts: list[str]) -> None:
        if call is not None and texts and self._journal.is_read and self._is_open(call):
            self._journal.tell(ToolSlice(call.place, "".join(texts), call.shown))

    def _is_open(self, call: _Call) -> bool:
        """Say whether anybody still waits for what a call comes to."""
        turn = self._journal.state.turns[-1]
        return turn.number == call.turn and call.place not in turn.executions
