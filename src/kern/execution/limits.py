"""How much a run may use: counted by its journal, over all its attempts and its children."""

from copy import copy
from dataclasses import fields
from typing import Any

from kern.aio.retry import until_available
from kern.errors import UsageLimitError
from kern.execution.attempt import Attempt
from kern.run.codec import decode_object
from kern.run.message import Metrics
from kern.run.usage import UsageLimits

_KEPT = "What the run has done is kept; raise the limit and retry the run to go on from there."


def check_turns(attempt: Attempt) -> None:
    """Make sure that the model may be asked once more.

    Raises:
        UsageLimitError: it was asked as often as it may be.
    """
    turns, limit = len(attempt.state.turns), attempt.spec.max_turns
    if limit is not None and turns >= limit:
        raise UsageLimitError(
            f"The model was asked max_turns={limit} times and has not come to an end. {_KEPT}"
        )


async def check_usage(attempt: Attempt) -> None:
    """Make sure that the run may use more.

    Raises:
        UsageLimitError: it has used as much as it may.
        BudgetExceededError: its user has.
    """
    store, user_id = attempt.store, attempt.output.user_id
    if attempt.spending is not None and store is not None and user_id is not None:
        attempt.spending = await until_available(lambda: store.budgets.spending(user_id))
        for spending in attempt.spending:
            spending.check("What the run has done is kept; retry it to go on once there is room.")
    if not attempt.limits:
        return
    used = await _used(attempt)
    used.model_calls += attempt.asking
    for limits in attempt.limits:
        if (name := limits.exceeded(used)) is not None:
            raise UsageLimitError(f"The run has reached its limit of {name}. {_KEPT}")


async def check_tool_calls(attempt: Attempt, more: int) -> None:
    """Make sure that tools may be called.

    Args:
        attempt: the attempt.
        more: how many calls are to be made.

    Raises:
        UsageLimitError: that is more than the run may make.
    """
    known = [each.tool_calls for each in attempt.limits if each.tool_calls is not None]
    if not known:
        return
    used, limit = await _used(attempt), min(known)
    if used.tool_calls + more > limit:
        raise UsageLimitError(
            f"The run has made {used.tool_calls} tool calls and was to make {more} more, above its "
            f"limit of tool_calls={limit}. {_KEPT}"
        )


async def remaining(attempt: Attempt) -> UsageLimits | None:
    """Return how much a run may use that a tool call of this one is; None for any amount.

    Raises:
        UsageLimitError: nothing is left.
    """
    if not attempt.limits:
        return None
    used, left = await _used(attempt), dict[str, Any]()
    for limits in attempt.limits:
        if (name := limits.exceeded(used)) is not None:
            raise UsageLimitError(f"The run has reached its limit of {name}. {_KEPT}")
        for name, counted in _COUNTED.items():
            if (limit := getattr(limits, name)) is not None:
                # The call itself is one more tool call.
                room = limit - (getattr(used, counted) or 0) - (name == "tool_calls")
                room = max(1, room) if name == "tool_calls" else room
                left[name] = min(room, left.get(name, room))
    return UsageLimits(**left) if left else None


_COUNTED = {each.name: each.name for each in fields(UsageLimits)} | {"requests": "model_calls"}
"""By each limit what is counted towards it."""


async def _used(attempt: Attempt) -> Metrics:
    """Return what the run and those that its tools have started have used."""
    used, store, run_id = copy(attempt.state.metrics), attempt.store, attempt.output.run_id
    if store is None:
        for each in attempt.state.children:
            used.add(each)
    elif used.tool_calls:
        for usage in await until_available(lambda: store.usage_of_children(run_id)):
            used.add(Metrics.from_dict(decode_object(usage)))
    return used
