"""Tells runs of the ends of those that they have started in the background.

The end of such a run puts a delivery into the outbox, in its transaction. Here it is delivered,
inside: a parent that is at work takes it itself, before its next model call; one that is over is
followed by a new run. Who delivers knows no more than what is stored, and any process may.
"""

from functools import partial

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.execution.reports import end_of, follow_up
from kern.run.base import RunStatus
from kern.run.fold import fold
from kern.run.record import RunRecord

# The seconds after which it is looked again whether a parent is over: first, and at most.
_FIRST, _LONGEST = 0.25, 30.0


async def tell_parent(store: Store, run_id: str, tries: int) -> float | None:
    """Have the parent of a run know that it has ended.

    Args:
        store: where they are.
        run_id: the run, which has ended or paused.
        tries: how often it was tried before.

    Returns:
        After how many seconds to try again, for the parent has not ended; None for never.

    Raises:
        BudgetExceededError: the parent's user has used up a budget, so no run can follow.
        JournalError: what the parent knows cannot be read.
    """
    child = await until_available(partial(store.get, run_id, with_input=True))
    if child is None or not child.status.is_terminal or child.parent_run_id is None:
        return None  # Who looks at a paused run sees that; its end is another delivery.
    parent = await until_available(partial(store.get, child.parent_run_id, with_input=True))
    if parent is None or parent.status is RunStatus.cancelled:
        return None  # Nobody wants to know any more.
    if not parent.status.is_terminal:
        return min(_FIRST * 2.0 ** min(tries, 10), _LONGEST)
    rows = await until_available(partial(store.events, parent.run_id, 0))
    if end_of(child.run_id, child.attempt) in fold(rows).told_of:
        return None
    return await _follow(store, parent, child)


async def _follow(store: Store, parent: RunRecord, child: RunRecord) -> float | None:
    """Have a run begin that is told in the parent's place, once, if that has not gone on."""
    run = follow_up(parent, child)
    accepted = await until_available(partial(store.follow, run, parent.run_id, parent.attempt))
    if accepted is not None:
        return None
    now = await until_available(partial(store.get, parent.run_id))
    is_over = now is None or (now.status.is_terminal and now.attempt == parent.attempt)
    return None if is_over else _FIRST  # Then somebody else was first, or it was erased.
