"""Runs as their journals tell them: steps go in, and events come out as readers get them."""

import time
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.codec import join_halves
from kern.run.entry import Entry, read_row, write_row
from kern.run.event import RunOutputEvent
from kern.run.fold import RunState
from kern.run.happened import begun, ending_of, event_of
from kern.run.message import Message, Metrics
from kern.run.record import JournalRow
from kern.run.steps import (
    PIECE_KINDS,
    AnyStep,
    CallBroken,
    ModelAnswered,
    TextSlice,
)
from kern.run.tool import ToolCall

CREATED = 1_790_000_000.0
USED = Metrics(
    input_tokens=12,
    output_tokens=34,
    total_tokens=46,
    cached_tokens=2,
    reasoning_tokens=3,
    model_calls=1,
)


class Journaled:
    """A run whose journal is written step by step, as an attempt does it.

    Attributes:
        rows: the rows of its journal.
        state: what they say.
        output: the run as its caller sees it.
    """

    def __init__(self, *steps: AnyStep, run_id: str = "run") -> None:
        """Begin with steps."""
        self.rows: list[JournalRow] = []
        self.state = RunState()
        self.output: RunOutput[Any] = RunOutput(
            run_id, "session", "helper", created_at=CREATED, model="model"
        )
        self.add(*steps)

    @override
    def __repr__(self) -> str:
        return "\n".join(f"{row.type} {row.payload}" for row in self.rows)

    def add(self, *steps: AnyStep) -> "Journaled":
        """Write more steps."""
        for step in steps:
            state, ends_call = self.state, isinstance(step, ModelAnswered | CallBroken)
            event = state.call_event if ends_call else state.next_event
            row = write_row("run", Entry(state.last_seq + 1, event, step))
            state.apply(read_row(row))
            self.rows.append(row)
        return self

    def say(self, *pieces: str) -> "Journaled":
        """Write pieces of a text."""
        return self.add(*map(TextSlice, pieces))

    def answer(
        self,
        text: str,
        *calls: ToolCall,
        starts: Sequence[int] | None = None,
        slices: Sequence[int] | None = None,
        message: Message | None = None,
    ) -> "Journaled":
        """Write the answer that the pieces before it are the beginning of.

        Args:
            text: what it says.
            *calls: the tools that it wants called.
            starts: which of them begin with it; by default all.
            slices: in which pieces readers have it; by default in those that were written.
            message: the answer itself, where it is more than that.
        """
        known = self.state.call.slices if self.state.call is not None else ()
        begin = tuple(range(len(calls)) if starts is None else starts)
        said = message or Message("assistant", join_halves(text), list(calls))
        cut = known if slices is None else tuple(slices)
        return self.add(ModelAnswered(said, USED, cut, begin))

    def end(
        self,
        status: RunStatus = RunStatus.completed,
        content: object = None,
        error: str | None = None,
        error_kind: str | None = None,
    ) -> "Journaled":
        """Have it end, or pause."""
        output, state = self.output, self.state
        text = state.answer_text
        output.status, output.error, output.error_kind = status, error, error_kind
        output.content = text if content is None else content
        output.content_type = "str" if isinstance(output.content, str) else "dict"
        output.messages = [each for turn in state.turns for each in turn.messages]
        output.tools = [
            turn.execution(place) if place not in turn.executions else turn.executions[place]
            for turn in state.turns
            for place in range(len(turn.message.tool_calls))
        ]
        output.metrics = state.metrics
        output.finished_at = CREATED + 60
        return self

    def events(self, *, pieces: bool = True, rows: int | None = None) -> list[RunOutputEvent]:
        """Return what a reader is told from the beginning on.

        Args:
            pieces: whether the rows are there that a later one holds, too.
            rows: how many rows there are yet, without the end; by default all, and it has ended.
        """
        output, state = self.output, RunState()
        told = [event_of(each, output, CREATED) for each in begun(output)]
        for row in self.rows[:rows]:
            if pieces or row.type not in PIECE_KINDS:
                entry = read_row(row)
                happened = state.apply(entry)
                told += [event_of(each, output, CREATED + entry.seq) for each in happened]
        if rows is None:
            told += [
                event_of(each, output, output.finished_at or time.time())
                for each in ending_of(output, state.next_event)
            ]
        return told
