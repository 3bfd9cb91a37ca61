"""How a fleet stands: its workers, and why runs go on or do not, by reason."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from kern.db.base import Store
from kern.db.processes import KEPT, Process
from kern.dispatch.explanation import Reason, Why
from kern.operations.looking import look_at, why_json
from kern.run.record import RunRecord

# How many kinds of runs are told apart, those with the most runs first.
_GROUPS = 50

# Why runs do not go on until somebody does something about the workers.
_STUCK = (Reason.unserved, Reason.refused, Reason.newer, Reason.lost, Reason.silent)


class Alike(NamedTuple):
    """Runs of an agent that go on, or do not, for the same reason.

    Attributes:
        runs: how many they are.
        first: the one of them that was accepted first.
        why: the reason, in the words that fit this one.
    """

    runs: int
    first: RunRecord
    why: Why

    @property
    def is_stuck(self) -> bool:
        """Whether the fleet lacks what would have them go on."""
        return self.why.reason in _STUCK


async def runs_by_reason(store: Store) -> list[Alike]:
    """Return the runs that have not ended by agent and reason, most runs first.

    Args:
        store: the database; it is asked a number of times that does not depend on the runs.
    """
    groups = await store.overview.groups(_GROUPS)
    found = await asyncio.gather(*(store.get(each.first) for each in groups))
    look = await look_at(store, [each for each in found if each is not None])
    return [
        Alike(group.runs, record, why)
        for group, record in zip(groups, found, strict=True)
        if record is not None and (why := look.whys.get(record.run_id)) is not None
    ]


async def fleet_status(store: Store) -> dict[str, object]:
    """Return as JSON values ``workers``, how many there are, and ``why``, the runs by reason.

    Args:
        store: the database; see :func:`runs_by_reason`.
    """
    whys = [
        {
            "runs": each.runs,
            "agent_id": each.first.agent_id,
            "first_run_id": each.first.run_id,
            **why_json(each.why),
        }
        for each in await runs_by_reason(store)
    ]
    return {"workers": counts(await store.processes.find(KEPT)), "why": whys}


def counts(fleet: Sequence[Process]) -> dict[str, int]:
    """Return how many workers are alive and gone, and how many of their slots are in use."""
    alive = [each for each in fleet if each.is_alive]
    return {
        "alive": len(alive),
        "gone": len(fleet) - len(alive),
        "executing": sum(each.executing for each in alive),
        "slots": sum(each.slots or 0 for each in alive),
    }
