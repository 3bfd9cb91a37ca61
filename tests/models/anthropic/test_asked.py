"""How one call is to be answered, as each of Claude's models takes it."""

from typing import Any

import pytest

from kern.models.anthropic.asked import asked_for
from kern.models.base import CallOptions

SAMPLED = CallOptions(temperature=1.5, top_p=0.9)
THINKING = {"type": "enabled", "budget_tokens": 5000}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-sonnet-5-5", "max", "max"),
        ("claude-sonnet-5-5", "minimal", "low"),
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-5-20251101", "none", "low"),
        ("claude-haiku-4-5", "high", None),
        ("claude-opus-4-20250514", "high", None),
        ("claude-3-7-sonnet-latest", "high", None),
    ],
)
def test_the_nearest_effort_is_asked_of_models_that_know_it(
    model: str, effort: str, expected: str | None
) -> None:
    asked = asked_for(CallOptions(reasoning_effort=effort), {}, model)
    assert asked == ({} if expected is None else {"output_config": {"effort": expected}})


def test_the_form_of_the_answer_stays_beside_the_effort() -> None:
    given = {"output_config": {"format": {"type": "json_schema"}}}
    asked = asked_for(CallOptions(reasoning_effort="low"), given, "claude-sonnet-5-5")
    assert asked["output_config"] == {"format": {"type": "json_schema"}, "effort": "low"}


def test_older_models_sample_by_one_of_the_two() -> None:
    assert asked_for(SAMPLED, {}, "claude-haiku-4-5") == {"temperature": 1.0}
    assert asked_for(CallOptions(top_p=0.9), {}, "claude-haiku-4-5") == {"top_p": 0.9}
    assert asked_for(SAMPLED, {"thinking": THINKING}, "claude-haiku-4-5") == {}
    assert asked_for(SAMPLED, {}, "claude-opus-4-7") == {}
    assert asked_for(SAMPLED, {}, "claude-sonnet-5-5") == {}


@pytest.mark.parametrize(
    ("tokens", "thinking"),
    [
        (6000, None),
        (3000, {"type": "enabled", "budget_tokens": 2999}),
        (500, {"type": "disabled"}),
    ],
)
def test_thoughts_fit_into_the_tokens_of_the_answer(
    tokens: int, thinking: dict[str, Any] | None
) -> None:
    asked = asked_for(CallOptions(tokens), {"thinking": THINKING}, "claude-haiku-4-5")
    assert asked == {"max_tokens": tokens} | ({} if thinking is None else {"thinking": thinking})
