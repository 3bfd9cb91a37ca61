"""Which runs somebody wants to see, and how many there are."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kern.run.base import RunStatus
from kern.run.codec import dump

BEGINNING = 1000
"""How many characters of a listed run's input are read."""

SEARCHED = 2000
"""In how many runs a text is looked for that is no id."""

LARGE = 32_768
"""From how many bytes on, as PostgreSQL keeps it, an input is not looked into for a text."""

IDS = ("session_id", "user_id", "agent_id")
"""What else of a run may begin with a text that is searched for, beside its own id."""

NEAR_RUNS, NEAR_VALUES = 1000, 50
"""How many ids of runs, and of others, from the text on are looked at."""

CONTENT = '"content":"'
"""What stands before what an input says."""


def sought(text: str) -> tuple[str, str]:
    """Return what ids begin with, and what inputs say as JSON, where a text is searched for.

    Neither holds what no database can hold.
    """
    known = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return known.replace("\0", "\N{REPLACEMENT CHARACTER}"), dump(known)[1:-1]


def is_no_child(runs: str, of: str | None = None) -> str:
    """Return the condition in SQL that a run is no tool call of a run of its session.

    Args:
        runs: the table.
        of: what the run is a row of; by default the table.
    """
    run = of or runs
    return (
        f"NOT EXISTS (SELECT 1 FROM {runs} AS parent WHERE parent.run_id = {run}.parent_run_id "
        f"AND parent.session_id = {run}.session_id)"
    )


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The runs that are wanted; None, and no statuses, stand for any.

    Attributes:
        agent_id: whose runs.
        statuses: where they are.
        session_id: the conversation they belong to.
        user_id: on whose behalf they run.
        since: the moment from which on they were accepted.
        until: the moment before which they were accepted.
        seen_by: who is to see them: those are left out that are another user's.
        without_children: whether those are left out that tool calls of the same session's runs are.
        agents: whose runs, where those of several agents are wanted; empty for any.
        parent_run_id: the run whose tool calls they are.
        text: how the id of the run, its session, user or agent begins, or what the beginning of
            its input says, of the newest :data:`SEARCHED` runs that are wanted otherwise.
    """

    agent_id: str | None = None
    statuses: tuple[RunStatus, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    seen_by: str | None = None
    without_children: bool = False
    agents: tuple[str, ...] = ()
    parent_run_id: str | None = None
    text: str | None = None


class Load(NamedTuple):
    """How many runs there are that have not ended, those that are paused left out.

    Attributes:
        running: that execute.
        due: that could begin.
        waiting: that wait for another run of their session or user.
        delayed: that have a moment in the future at which they begin.
        total: all runs that are kept, ended ones included; an estimate, or None where there is
            none yet.
    """

    running: int
    due: int
    waiting: int
    delayed: int
    total: int | None
