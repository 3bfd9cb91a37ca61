"""What an answer cost, as it is written down with it."""

import logging
from collections.abc import Awaitable

from kern.execution.attempt import Attempt
from kern.models.base import Model, ModelResponse
from kern.models.prices import cost_of, prices

logger = logging.getLogger("kern")

# The models of which the log has said that their price is not known.
_unpriced: set[str] = set()


async def priced(attempt: Attempt, model: Model, answer: Awaitable[ModelResponse]) -> ModelResponse:
    """Wait for an answer, and return it with what it cost, at the prices of that moment.

    Args:
        attempt: the attempt.
        model: who answers.
        answer: the answer; if it says itself what it cost, that counts.
    """
    response = await answer
    used = response.metrics
    if used.cost is not None or not used.model_calls:
        return response
    if model.price is None and not prices.is_loaded:
        await prices.load()
    said = response.model
    names = (said, model.id) if said and said != model.id else (model.id,)
    used.cost = cost_of(used, model.price, model.provider, *names)
    if used.cost is None:
        used.unpriced_calls = used.model_calls
        if (attempt.limits or attempt.spending) and _is_cost_limited(attempt):
            _warn_of(model)
    return response


def _is_cost_limited(attempt: Attempt) -> bool:
    return any(each.cost is not None for each in attempt.limits) or any(
        each.budget.cost is not None for each in attempt.spending or ()
    )


def _warn_of(model: Model) -> None:
    """Say once of a model that its calls pass limits of cost uncounted."""
    if model.origin in _unpriced:
        return
    _unpriced.add(model.origin)
    logger.warning(
        "What the model %s of %s costs is not known, so its calls do not count towards limits and "
        "budgets of cost. %sGive the model its price=Price(input=..., output=...).",
        model.id,
        model.provider,
        "Run pip install 'kern-agents[prices]', or: " if prices.is_missing else "",
    )
