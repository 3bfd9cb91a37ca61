"""Answers that come as calls, and the requirements that they are for."""

import pytest

from kern.errors import InvalidInputError
from kern.execution.decisions import decided
from kern.run.answers import of_tools
from kern.run.fold import RunState
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution


def waiting(id: str, arguments: str = '{"amount": 5}') -> RunRequirement:
    """Return what a child waits for whose server numbers calls from 0 on, as others do."""
    return RunRequirement(id, "confirmation", ToolExecution("call_0", "refund", arguments))


def test_a_call_that_is_allowed_allows_one_call_though_another_has_its_id() -> None:
    first, second = waiting("a/1/0"), waiting("b/1/0")
    first.tool_execution.confirmed = True
    assert [each.id for each in of_tools([first, second], [first.tool_execution])] == ["a/1/0"]


def test_calls_of_the_same_id_are_told_apart_by_their_arguments() -> None:
    first, second = waiting("a/1/0"), waiting("b/1/0", '{"amount": 7}')
    given = [second.tool_execution, first.tool_execution]
    found = {each.id: each.tool_execution for each in of_tools([first, second], given)}
    assert found == {"a/1/0": first.tool_execution, "b/1/0": second.tool_execution}
    assert [each.id for each in of_tools([first, second], given[:1])] == ["b/1/0"]


def test_a_result_for_an_id_that_two_calls_have_is_refused() -> None:
    state = RunState(requirements=(waiting("a/1/0"), waiting("b/1/0")))
    with pytest.raises(InvalidInputError, match="a/1/0, b/1/0"):
        decided("run", state, None, {"call_0": "refunded"}, 0.0)
