"""A run's output as JSON and as a row of the database, there and back."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import identifiers, json_objects, texts

from kern.run.agent import RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.codec import encode
from kern.run.message import Message, Metrics, Role
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution

_tokens = st.integers(0, 10**12)

messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=st.none() | texts,
    refusal=st.booleans(),
    provider=st.none() | texts,
    provider_items=st.lists(json_objects, max_size=2),
    server=st.none() | texts,
    model=st.none() | texts,
)

metrics = st.builds(
    Metrics,
    input_tokens=_tokens,
    output_tokens=_tokens,
    total_tokens=_tokens,
    cached_tokens=_tokens,
    reasoning_tokens=_tokens,
    model_calls=_tokens,
    duration=st.none() | st.floats(0, 1e9),
)

outputs = st.builds(
    RunOutput,
    run_id=identifiers,
    session_id=identifiers,
    agent_id=identifiers,
    agent_name=st.none() | texts,
    user_id=st.none() | identifiers,
    status=st.sampled_from(RunStatus),
    content=st.none() | texts,
    messages=st.lists(messages, max_size=3),
    metrics=metrics,
    model=st.none() | texts,
    model_provider=st.none() | texts,
    metadata=st.none() | json_objects,
    error=st.none() | texts,
    created_at=st.integers(0, 4_000_000_000).map(float),
)


@given(outputs)
def test_an_output_comes_back_equal_from_a_dict(output: RunOutput) -> None:
    assert RunOutput.from_dict(output.to_dict()) == output


@given(outputs, st.none() | st.integers(0, 4))
def test_an_output_comes_back_equal_from_json(output: RunOutput, indent: int | None) -> None:
    text = output.to_json(indent)
    assert text.isascii()
    assert RunOutput.from_dict(json.loads(text)) == output


@given(outputs)
def test_an_output_comes_back_equal_from_a_row(output: RunOutput) -> None:
    settlement = output.settlement(
        attempt=output.attempt,
    )
    assert (settlement.run_id, settlement.attempt) == (output.run_id, output.attempt)
    assert json.loads(settlement.usage) == output.metrics.to_dict()
    record = RunRecord(
        run_id=output.run_id,
        session_id=output.session_id,
        agent_id=output.agent_id,
        user_id=output.user_id,
        status=settlement.status,
        attempt=settlement.attempt,
        created_at=datetime.fromtimestamp(output.created_at, UTC),
        metadata=None if output.metadata is None else encode(output.metadata, "metadata"),
        output=settlement.output,
        error=settlement.error,
    )
    assert RunOutput.from_record(record) == output


def test_a_row_that_nobody_has_worked_on_gives_an_empty_output() -> None:
    accepted = datetime(2026, 1, 1, tzinfo=UTC)
    record = RunRecord("run", "session", "agent", None, RunStatus.pending, 0, accepted)
    expected = RunOutput("run", "session", "agent", created_at=accepted.timestamp())
    assert RunOutput.from_record(record) == expected


def test_the_events_are_not_kept() -> None:
    event = RunOutputEvent(RunEvent.run_started, "run", "session", "agent")
    output = RunOutput("run", "session", "agent", events=[event])
    assert RunOutput.from_dict(output.to_dict()) == replace(output, events=[])


def test_a_stored_output_of_a_later_version_is_understood() -> None:
    output = RunOutput("run", "session", "agent", messages=[Message("user", "Hi")])
    values = json.loads(output.to_json())
    values["new"] = values["metrics"]["new"] = values["messages"][0]["new"] = 1
    assert RunOutput.from_dict(values) == output


@pytest.mark.parametrize(
    "values",
    [{"status": "UNKNOWN"}, {"messages": "none"}, {"messages": [{"role": "stranger"}]}],
    ids=repr,
)
def test_a_damaged_output_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"UNKNOWN|a list of messages|stranger"):
        RunOutput.from_dict(RunOutput("run", "session", "agent").to_dict() | values)


def test_an_output_without_an_id_is_refused() -> None:
    with pytest.raises(KeyError, match="run_id"):
        RunOutput.from_dict({"session_id": "session", "agent_id": "agent"})


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_a_message_leaves_out_what_it_does_not_say(role: Role) -> None:
    assert Message(role, "Hi").to_dict() == {"role": role, "content": "Hi"}
    assert Message(role).to_dict() == {"role": role}


def test_metrics_add_up_but_for_the_duration() -> None:
    total = Metrics(1, 2, 3, 4, 5, 6, 7, 7.5)
    total.add(Metrics(10, 20, 30, 40, 50, 60, 70, 70.5))
    assert total == Metrics(11, 22, 33, 44, 55, 66, 77, 7.5)


@pytest.mark.parametrize("damage", [None, 5, "x", [5], {"a": 5}], ids=repr)
@pytest.mark.parametrize("name", ["run_id", "attempt", "created_at", "tools", "requirements"])
def test_an_output_with_values_of_another_kind_is_refused(name: str, damage: object) -> None:
    whole = RunOutput("run", "session", "agent").to_dict()
    try:
        read = RunOutput.from_dict(whole | {name: damage})
    except ValueError:
        return
    assert getattr(read, name) in (damage, []), "or it is one of the kind"


@pytest.mark.parametrize(
    "damage",
    [
        {"tool_execution": None},
        {"tool_execution": "x"},
        {"tool_execution": []},
        {"tool_execution": {"tool_name": "send"}},
        {"id": 5},
        {"kind": "none"},
        {"user_input_schema": [5]},
        {"expires_at": "soon"},
    ],
    ids=repr,
)
def test_a_damaged_requirement_is_refused(damage: dict[str, object]) -> None:
    whole = RunRequirement("run/1/0", "confirmation", ToolExecution("call", "send", "{}")).to_dict()
    assert RunRequirement.from_dict(whole).id == "run/1/0"
    with pytest.raises(ValueError, match=r".+"):
        RunRequirement.from_dict(whole | damage)
    with pytest.raises(ValueError, match="a dict of its values"):
        RunRequirement.from_dict([damage])  # type: ignore[arg-type] # That is the point.


def test_calls_that_wait_are_told_apart_though_they_have_one_id() -> None:
    output = RunOutput("run", "session", "tester")
    output.tools = [ToolExecution("0", each, "{}") for each in ("ask_writer", "pay", "drop")]
    waiting = [
        RunRequirement(f"run/1/{place}", "confirmation", ToolExecution("0", name, "{}"))
        for place, name in ((1, "pay"), (2, "drop"))
    ]
    of_child = RunRequirement("child/1/0", "confirmation", ToolExecution("0", "publish", "{}"))
    of_child = replace(of_child, call="run/1/0", passes=True, member_run_id="child")
    output.wait_for([of_child, *waiting])
    assert [each.tool_name for each in output.tools] == ["ask_writer", "pay", "drop"]
    assert output.tools[1:] == [each.tool_execution for each in waiting]
    assert output.tools[1] is waiting[0].tool_execution
