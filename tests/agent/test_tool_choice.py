"""Whether an agent's model is to call tools."""

from typing import Any

import pytest

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.base import ToolChoice
from kern.testing import Reply, ScriptedModel


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def choices_of(choice: ToolChoice | None) -> list[ToolChoice | None]:
    """Return what a model is told at each call of a run with two answers."""
    model = ScriptedModel([Reply.tool_calls(("add", {"a": 1, "b": 2})), "Three."])
    output = await Agent("Adder", model, tools=[add], tool_choice=choice).arun("1 + 2?")
    assert output.content == "Three."
    return [request.tool_choice for request in model.requests]


@pytest.mark.parametrize(
    "choice",
    [
        None,
        "auto",
        "none",
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "allowed_tools", "mode": "auto", "tools": []},
        {"mode": "VALIDATED"},
    ],
    ids=str,
)
async def test_a_choice_that_leaves_the_model_free_holds_for_each_answer(
    choice: ToolChoice | None,
) -> None:
    assert await choices_of(choice) == [choice, choice]


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ("required", "required"),
        ("add", "add"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "function", "name": "add"}, "add"),
        ({"type": "tool", "name": "add"}, "add"),
        ({"mode": "ANY"}, {"mode": "ANY"}),
    ],
    ids=str,
)
async def test_a_model_is_made_to_call_a_tool_once_a_run(choice: Any, first: ToolChoice) -> None:
    assert await choices_of(choice) == [first, None]


@pytest.mark.parametrize("choice", ["subtract", 7, {"type": "tool", "name": "subtract"}], ids=str)
def test_a_choice_that_there_is_not_is_refused_when_the_agent_is_made(choice: Any) -> None:
    told = "tool_choice must be one of 'none', 'auto', 'required', 'add', or a dict"
    with pytest.raises(ConfigurationError, match=told):
        Agent("Adder", ScriptedModel(["Hi"]), tools=[add], tool_choice=choice)
