"""What ``kern db status`` says of the fleet: who executes the runs, or why nobody does."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from rich.text import Text

from kern.cli.runs.looking import look_at
from kern.cli.terminal import cell
from kern.db.base import Store
from kern.db.processes import KEPT, Process
from kern.dispatch.explanation import Reason

# How many kinds of runs are told apart, those with the most runs first.
_GROUPS = 50

_FINE = (Reason.executing, Reason.due)


async def fleet_status(store: Store) -> dict[str, object]:
    """Return as JSON values ``workers``, how many there are, and ``why``, the runs by reason.

    Args:
        store: the database; it is asked a number of times that does not depend on the runs.
    """
    groups = await store.overview.groups(_GROUPS)
    found = await asyncio.gather(*(store.get(each.first) for each in groups))
    look = await look_at(store, [each for each in found if each is not None])
    whys = []
    for group, record in zip(groups, found, strict=True):
        why = look.why_json(group.first)
        if record is not None and why is not None:
            first = {"runs": group.runs, "agent_id": record.agent_id, "first_run_id": group.first}
            whys.append({**first, **why})
    fleet = await store.processes.find(KEPT)
    return {"workers": _workers(fleet), "why": whys}


def fleet_rows(values: Mapping[str, object]) -> Iterator[tuple[str, Text]]:
    """Yield for people what :func:`fleet_status` has found."""
    workers = cast(dict[str, int], values["workers"])
    slots = f", {workers['executing']:,} of {workers['slots']:,} slots in use"
    gone = f", {workers['gone']:,} gone" if workers["gone"] else ""
    alive = f"{workers['alive']:,} alive{slots if workers['alive'] else ''}"
    yield "Workers", Text(f"{alive}{gone}", "" if workers["alive"] else "yellow")
    for number, why in enumerate(cast(list[dict[str, object]], values["why"])):
        is_one = why["runs"] == 1
        runs = "1 run" if is_one else f"{why['runs']:,} runs"
        first = f"{'' if is_one else 'the first is '}{why['first_run_id']}"
        text = f"{runs} of the agent {why['agent_id']!r} ({first}): {why['text']}"
        style = "" if why["reason"] in _FINE else "yellow"
        yield "" if number else "Why", cell(text, style)


def _workers(fleet: Sequence[Process]) -> dict[str, int]:
    alive = [each for each in fleet if each.is_alive]
    return {
        "alive": len(alive),
        "gone": len(fleet) - len(alive),
        "executing": sum(each.executing for each in alive),
        "slots": sum(each.slots or 0 for each in alive),
    }
