"""Rows of journals, made of the steps that they hold."""

from kern.run.entry import Entry, write_row
from kern.run.message import Message, Metrics
from kern.run.record import JournalRow
from kern.run.steps import AnyStep, ModelAnswered, TextSlice
from kern.run.tool import ToolCall
from kern.run.tool_steps import ToolEnded

PIECE = TextSlice("Hi")
DONE = ToolEnded(0, "done")


def row(run_id: str, seq: int, step: AnyStep, event: int | None = None) -> JournalRow:
    """Return the row that holds a step.

    Args:
        run_id: the run.
        seq: the number of the row.
        step: what happened.
        event: the number of the first event; by default the step after RunStarted is the first.
    """
    return write_row(run_id, Entry(seq, seq + 1 if event is None else event, step))


def answer(
    text: str | None,
    *calls: ToolCall,
    slices: tuple[int, ...] = (),
    starts: tuple[int, ...] = (),
) -> ModelAnswered:
    """Return an answer of a model, which took 12 tokens and gave 34.

    Args:
        text: what it says.
        *calls: the tools that it wants called.
        slices: see :class:`ModelAnswered`.
        starts: see there.
    """
    metrics = Metrics(input_tokens=12, output_tokens=34, total_tokens=46, model_calls=1)
    return ModelAnswered(Message("assistant", text, list(calls)), metrics, slices, starts)
