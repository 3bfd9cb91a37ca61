"""How a fleet stands: its workers, and why runs go on or do not, by reason."""

import asyncio
from collections.abc import Sequence

from kern.db.base import Store
from kern.db.processes import KEPT, Process
from kern.operations.looking import look_at

# How many kinds of runs are told apart, those with the most runs first.
_GROUPS = 50


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


def _workers(fleet: Sequence[Process]) -> dict[str, int]:
    alive = [each for each in fleet if each.is_alive]
    return {
        "alive": len(alive),
        "gone": len(fleet) - len(alive),
        "executing": sum(each.executing for each in alive),
        "slots": sum(each.slots or 0 for each in alive),
    }
