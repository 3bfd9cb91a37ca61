"""``kern runs list``: runs as a table, or as JSON."""

from rich.table import Table
from rich.text import Text

from kern.cli.output import print_json
from kern.cli.terminal import Column, cell, choose, console, status_of, table_of
from kern.operations.listed import as_json, error_of
from kern.operations.looking import Look
from kern.operations.wording import age, first_words, took
from kern.run.base import RunStatus
from kern.run.record import RunRecord

# How many characters of an input or error are shown at most.
_LONGEST = 100

# For how many of an input or error, and of an explanation, there is room before there is a column
# more.
_TOLD, _EXPLAINED = 24, 48


def show_json(look: Look) -> None:
    """Print one array with an object a run."""
    print_json([as_json(record, look) for record in look.records])


def show_table(look: Look, limit: int) -> None:
    """Print a row a run."""
    shown = console()
    if not look.records:
        shown.print("No runs.")
        return
    shown.print(runs_table(look, shown.width))
    if len(look.records) == limit and shown.is_terminal:
        shown.print(cell(f"More: --before {look.records[-1].run_id}", "dim"))


def runs_table(look: Look, width: int) -> Table:
    """Return a row a run, with the columns for which there is room.

    Args:
        look: the runs, at least one.
        width: how many characters there are in a line.
    """
    records, now = look.records, look.now
    whys = [cell(look.why(each.run_id)) for each in records]
    told = [_told(record) for record in records]
    columns = [
        Column("Run", [cell(each.run_id) for each in records]),
        Column("Status", [status_of(each, now) for each in records]),
        Column("Agent", [cell(each.agent_id) for each in records], 2),
        Column("Session", [cell(each.session_id) for each in records], 5),
        Column("User", [cell(each.user_id) for each in records], 7),
        Column("Attempt", [Text(str(each.attempt)) for each in records], 6, True),
        Column("Priority", [Text(str(each.priority or "")) for each in records], 8, True),
        Column("Age", [Text(age(each, now)) for each in records], 1, True),
        Column("Took", [Text(took(each, now)) for each in records], 4, True),
        Column("Why", whys, 3, share=2),
    ]
    least = min(_EXPLAINED, max(each.cell_len for each in whys))
    least = max(least, min(_TOLD, max(each.cell_len for each in told)))
    chosen, room = choose(columns, width, least)
    name = "Input or error"
    if not any(each.name == "Why" for each in chosen) and any(whys):
        name = "Input, error or why"
        told = [why or text for why, text in zip(whys, told, strict=True)]
    return table_of(chosen, Column(name, told), width, room)


def _told(record: RunRecord) -> Text:
    if record.error is None or record.status is RunStatus.paused:  # That is why it waits.
        return cell(first_words(record), most=_LONGEST)
    return cell(error_of(record), "red", _LONGEST)
