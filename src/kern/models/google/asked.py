"""How one call is to be answered, in the parameters of the Gemini API.

Source: https://ai.google.dev/gemini-api/docs/thinking
"""

import re
from collections.abc import Mapping

from kern.models.base import CallOptions
from kern.models.google.params import is_before_3
from kern.models.params import given_options
from kern.models.values import Json, members_of

_PRO = re.compile(r"(?:.*/)?gemini-[\d.]+-pro")
_THINKS_BY_TOKENS = re.compile(r"(?:.*/)?gemini-2\.5\b")

_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192}
_LARGEST_BUDGET, _LEAST_OF_PRO = 24_576, 128


def asked_for(options: CallOptions, own: Mapping[str, object], model: str) -> Json:
    """Return the parameters that say how a call is to be answered, by the names of the SDK.

    Args:
        options: how.
        own: the parameters of the model, each in its place.
        model: who answers; models before 2.5 do not think, and are asked for no effort.
    """
    asked = given_options(options)
    effort = options.reasoning_effort
    asked.pop("reasoning_effort", None)
    if effort is not None and (thoughts := _thoughts(effort, model)):
        config = members_of(own.get("generationConfig")) or {}
        thinking = members_of(config.get("thinkingConfig")) or {}
        rest = {name: value for name, value in thinking.items() if name not in _HOW_LONG}
        asked["thinking_config"] = {**rest, **thoughts}
    return asked


_HOW_LONG = ("thinkingBudget", "thinkingLevel")


def _thoughts(effort: str, model: str) -> Json:
    is_pro = _PRO.match(model) is not None
    if not is_before_3(model):
        level = _LEVELS.get(effort, "HIGH")
        return {"thinking_level": "LOW" if is_pro and level == "MINIMAL" else level}
    if not _THINKS_BY_TOKENS.match(model):
        return {}
    budget = _BUDGETS.get(effort, _LARGEST_BUDGET)
    return {"thinking_budget": max(budget, _LEAST_OF_PRO) if is_pro else budget}
