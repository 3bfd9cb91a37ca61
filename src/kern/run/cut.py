"""Where the journal of a run is cut off for another one that begins with a part of it."""

from collections.abc import Iterable

from kern.run.entry import read_row
from kern.run.event import RunEvent
from kern.run.fold import RunState, apply_entry
from kern.run.record import JournalRow
from kern.run.state import StatePatch
from kern.run.tool_steps import SleepBegun, StepEnded


def changes_within(rows: Iterable[JournalRow], count: int) -> StatePatch | None:
    """Return what the state of the session was changed to with the first messages of a run.

    Args:
        rows: a journal.
        count: how many messages after the run's input.

    Raises:
        JournalError: a row is damaged, or was written by a newer kern.
    """
    state, changes = RunState(), None
    for row in rows:
        apply_entry(state, read_row(row), row)
        if sum(len(turn.messages) for turn in state.turns) > count:
            break
        changes = state.changes
    return changes


def row_of_event(rows: Iterable[JournalRow], seq: int) -> int:
    """Return the number of the last row that tells nothing after an event.

    Tool calls that begin with a row come after what it tells: they are made anew, with the steps
    inside of them.

    Args:
        rows: a journal.
        seq: the number of the event.

    Raises:
        JournalError: a row is damaged, or was written by a newer kern.
    """
    state, last = RunState(), 0
    for row in rows:
        entry = read_row(row)
        happened = apply_entry(state, entry, row)
        if isinstance(entry.step, StepEnded | SleepBegun):
            continue
        told = [each.seq for each in happened if each.event is not RunEvent.tool_call_started]
        if told and told[-1] > seq:
            break
        last = row.seq
    return last
