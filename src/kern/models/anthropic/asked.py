"""How one call is to be answered, in the parameters of the Messages API.

Source: https://platform.claude.com/docs/en/api/messages/create
"""

import re
from collections.abc import Mapping

from kern.models.base import CallOptions
from kern.models.values import Json, members_of

# The models that know no effort, and those that know three only.
_WITHOUT_EFFORT = re.compile(r"claude-(2|3|instant|(opus|sonnet)-4-(0|1|2025)|(sonnet|haiku)-4-5)")
_WITH_THREE = re.compile(r"claude-\w+-4-[56]")

# The models that still sample as they are told.
_SAMPLED = re.compile(r"claude-(2|3|instant|(opus|sonnet|haiku)-4-([0-6]\b|2025))")

_LEAST_THOUGHT = 1024


def asked_for(options: CallOptions, given: Mapping[str, object], model: str) -> Json:
    """Return the parameters that say how a call is to be answered; without what is not known.

    Args:
        options: how.
        given: all other parameters of the call.
        model: who answers.
    """
    thinking = members_of(given.get("thinking")) or {}
    asked: Json = {}
    if (tokens := options.max_output_tokens) is not None:
        asked["max_tokens"] = tokens
        budget = thinking.get("budget_tokens")
        if isinstance(budget, int) and budget >= tokens:  # The API wants it to be less.
            room = tokens - 1
            thinking = {**thinking, "budget_tokens": room} if room >= _LEAST_THOUGHT else {}
            asked["thinking"] = thinking or {"type": "disabled"}
    if options.reasoning_effort is not None and not _WITHOUT_EFFORT.match(model):
        output = members_of(given.get("output_config")) or {}
        asked["output_config"] = {**output, "effort": _effort(options.reasoning_effort, model)}
    if _SAMPLED.match(model) and thinking.get("type") in (None, "disabled"):
        asked |= _sampling(options)
    return asked


def _effort(effort: str, model: str) -> str:
    if effort in ("none", "minimal"):
        return "low"
    return "high" if effort in ("xhigh", "max") and _WITH_THREE.match(model) else effort


def _sampling(options: CallOptions) -> Json:
    if options.temperature is not None:  # These models take one of the two.
        return {"temperature": min(1.0, options.temperature)}
    return {} if options.top_p is None else {"top_p": options.top_p}
