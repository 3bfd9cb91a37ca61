"""What the commands share that show runs to people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kern.operations.wording import about
from kern.run.base import RunStatus
from kern.run.printable import one_line
from kern.run.record import RunRecord

STYLES = {
    RunStatus.pending: "yellow",
    RunStatus.running: "cyan",
    RunStatus.paused: "bold yellow",
    RunStatus.completed: "green",
    RunStatus.error: "bold red",
    RunStatus.cancelled: "magenta",
}

# What is not a terminal has room for lines of any length.
_WIDE = 10_000

# The columns of a table are that far apart.
_GAP = 2


def console() -> Console:
    """Return where to print."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=_WIDE)


def cell(text: str | None, style: str = "", most: int = 300) -> Text:
    """Return a text from the database in one line, which neither marks up nor commands."""
    return Text(one_line(text or "", most), style)


def status_of(record: RunRecord, now: datetime) -> Text:
    """Return where a run is, in its colour."""
    shown = Text(record.status.value, STYLES[record.status])
    if record.status is RunStatus.pending and record.waiting:
        shown.append(" waiting", "dim")
    elif record.status is RunStatus.pending and record.run_at and record.run_at > now:
        shown.append(f" in {about(record.run_at - now)}", "dim")
    return shown


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its heading.
        texts: its cells.
        rank: 0 for one that is always shown; of the others the least is missed most.
        is_number: whether it is flush right.
        share: which part of the line it may take, unless it is always shown: a fifth by default.
    """

    name: str
    texts: Sequence[Text]
    rank: int = 0
    is_number: bool = False
    share: int = 5


def choose(columns: Sequence[Column], width: int, least: int) -> tuple[list[Column], int]:
    """Return the columns for which there is room, and how many characters are left then.

    Args:
        columns: in their order; one without any text is left out.
        width: how many characters there are in a line.
        least: how many are to be left, at least.
    """
    room = width - sum(_needs(each, width) for each in columns if not each.rank)
    chosen = {each.name for each in columns if not each.rank}
    for each in sorted(columns, key=lambda column: column.rank):
        needed = _needs(each, width)
        if each.rank and any(each.texts) and room - needed >= least:
            chosen.add(each.name)
            room -= needed
    return [each for each in columns if each.name in chosen], room


def table_of(columns: Sequence[Column], rest: Column, width: int, room: int) -> Table:
    """Return a table.

    Args:
        columns: its columns, at least one.
        rest: the last one, which is cut short.
        width: how many characters there are in a line.
        room: how many of them are left for the last column.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in columns:
        justify: Literal["left", "right"] = "right" if each.is_number else "left"
        widest = _widest(each, width)
        table.add_column(each.name, no_wrap=True, justify=justify, max_width=widest)
    table.add_column(rest.name, no_wrap=True, max_width=max(1, room))
    for cells in zip(*(each.texts for each in (*columns, rest)), strict=True):
        table.add_row(*cells)
    return table


def _needs(column: Column, width: int) -> int:
    natural = max(len(column.name), *(each.cell_len for each in column.texts))
    return min(_widest(column, width), natural) + _GAP


def _widest(column: Column, width: int) -> int:
    return width // column.share if column.rank else width
