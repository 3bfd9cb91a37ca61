"""A step in its place in the journal, and the row that holds it."""

from dataclasses import dataclass
from typing import get_args

import msgspec

from kern.errors import JournalError, NewerJournalError
from kern.run.codec import dump, load
from kern.run.message import Metrics
from kern.run.record import JournalRow
from kern.run.steps import AnyStep

_DECODERS: dict[str, msgspec.json.Decoder[AnyStep]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(AnyStep)
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A step in its place in the journal.

    Attributes:
        seq: the number of its row.
        event: the number of the first event that it stands for.
        step: what happened; None for what this version of kern may skip.
        created_at: when, in seconds since 1970.
    """

    seq: int
    event: int
    step: AnyStep | None
    created_at: float = 0.0


def write_row(run_id: str, entry: Entry, *, charged: bool = False) -> JournalRow:
    """Return the row that holds an entry.

    Args:
        run_id: the run.
        entry: the entry; one whose step was skipped is not written.
        charged: whether what it has used counts towards budgets.

    Example:
        >>> from kern.run.steps import ToolEnded
        >>> row = write_row("run", Entry(1, 2, ToolEnded(0, "sunny")))
        >>> row.type, row.payload
        ('ToolEnded', '{"place":0,"content":"sunny","error":false,"state":null}')
        >>> read_row(row).step
        ToolEnded(place=0, content='sunny', error=False, state=None)
    """
    step = entry.step
    assert step is not None, "what is skipped is not written"
    kind = type(step).__name__
    row = JournalRow(
        run_id,
        entry.seq,
        entry.event,
        kind,
        step.skippable,
        dump(step),
        state=getattr(step, "state", None),
    )
    if not charged:
        return row
    used: Metrics | None = getattr(step, "metrics", None)
    return (
        row
        if used is None
        else msgspec.structs.replace(row, cost=used.cost or 0.0, tokens=used.total_tokens)
    )


def read_row(row: JournalRow) -> Entry:
    """Return the entry that a row holds.

    Raises:
        NewerJournalError: a newer kern has written it, and it may not be skipped.
        JournalError: it is damaged.
    """
    decoder = _DECODERS.get(row.type)
    if decoder is None:
        if row.skippable:
            return Entry(row.seq, row.event, None, row.created_at)
        raise NewerJournalError(
            f"{_name(row)} holds a {row.type!r:.60}, which this kern does not know. Upgrade kern, "
            "then retry the run."
        )
    try:
        return Entry(row.seq, row.event, load(row.payload, decoder), row.created_at)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(row, error) from error


def damaged(row: JournalRow, error: Exception) -> JournalError:
    """Return the error that names a damaged row.

    Args:
        row: the row.
        error: what makes no sense in it.
    """
    return JournalError(
        f"{_name(row)} is damaged ({type(error).__name__}: {error}). It was kept as it is; "
        "repair it and retry the run, or fork the run from an earlier step."
    )


def _name(row: JournalRow) -> str:
    return f"Row {row.seq} of the journal of run {row.run_id}"
