"""How one call is to be answered, as each of Gemini's models takes it."""

from typing import Any

import pytest

from kern.models.base import CallOptions
from kern.models.google.asked import asked_for


@pytest.mark.parametrize(
    ("model", "effort", "thoughts"),
    [
        ("gemini-3.7-flash", "none", {"thinking_level": "MINIMAL"}),
        ("gemini-3.7-flash", "medium", {"thinking_level": "MEDIUM"}),
        ("gemini-3.7-flash", "xhigh", {"thinking_level": "HIGH"}),
        ("gemini-3.1-pro-preview", "minimal", {"thinking_level": "LOW"}),
        ("models/gemini-2.5-flash", "none", {"thinking_budget": 0}),
        ("gemini-2.5-flash-lite", "max", {"thinking_budget": 24_576}),
        ("gemini-2.5-pro", "none", {"thinking_budget": 128}),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_an_effort_becomes_what_the_model_knows(
    model: str, effort: str, thoughts: dict[str, Any] | None
) -> None:
    asked = asked_for(CallOptions(reasoning_effort=effort), {}, model)
    assert asked == ({} if thoughts is None else {"thinking_config": thoughts})


def test_one_measure_of_thoughts_takes_the_place_of_the_other() -> None:
    own = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}}}
    asked = asked_for(CallOptions(300, "low"), own, "gemini-3.7-flash")
    assert asked == {
        "max_output_tokens": 300,
        "thinking_config": {"includeThoughts": True, "thinking_level": "LOW"},
    }
