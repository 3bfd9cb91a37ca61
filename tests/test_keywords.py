"""A wrong keyword is an error that names what the user called, and the nearest right keyword."""

import inspect
from collections.abc import Callable
from typing import get_type_hints

import pytest

from kern import Agent, InMemoryDb, PostgresDb, SqliteDb, UsageLimits, acancel_run, cancel_run, tool
from kern.agent.definition import PARTS
from kern.agent.keywords import KEYWORDS, RunOptions
from kern.agent.serving import lifespan, serve
from kern.keywords import LATER as LATER_KEYWORDS
from kern.models.openai import OpenAIResponses

AGENT = Agent("Tester", OpenAIResponses("m"), db=InMemoryDb())

CALLS: list[tuple[Callable[..., object], str, dict[str, object], str]] = [
    (Agent, "Agent", {"modle": None}, "model"),
    (Agent, "Agent", {"instruction": None}, "instructions"),
    (Agent, "Agent", {"database": None}, "db"),
    (Agent, "Agent", {"storage": None}, "db"),
    (Agent, "Agent", {"agent_id": ""}, "id"),
    (Agent, "Agent", {"response_model": None}, "output_schema"),
    (Agent, "Agent", {"add_history_to_messages": True}, "add_history_to_context"),
    (AGENT.run, "Agent.run", {"message": ""}, "input"),
    (AGENT.run, "Agent.run", {"input": "", "stream_intermediate_steps": True}, "stream_events"),
    (OpenAIResponses, "OpenAIResponses", {"model": ""}, "id"),
    (SqliteDb, "SqliteDb", {"table_name": ""}, "session_table"),
    (tool, "tool", {"purpose": ""}, ""),
    (AGENT.arun, "Agent.arun", {"input": "", "sesion_id": ""}, "session_id"),
    (AGENT.run, "Agent.run", {"input": "", "backgroud": True}, "background"),
    (AGENT.print_response, "Agent.print_response", {"input": "", "streem": 1}, "stream"),
    (AGENT.stream_run, "Agent.stream_run", {"run_id": "", "aftr": 1}, "after"),
    (AGENT.astream_run, "Agent.astream_run", {"run_id": "", "aftr": 1}, "after"),
    (AGENT.schedule, "Agent.schedule", {"name": "", "timezon": ""}, "timezone"),
    (AGENT.continue_run, "Agent.continue_run", {"run_id": "", "requirement": []}, "requirements"),
    (tool, "tool", {"require_confirmation": True}, "requires_confirmation"),
    (PostgresDb, "PostgresDb", {"url": ""}, "db_url"),
    (SqliteDb, "SqliteDb", {"file": ""}, "db_file"),
    (InMemoryDb, "InMemoryDb", {"table": ""}, "session_table"),
    (OpenAIResponses, "OpenAIResponses", {"basurl": ""}, "base_url"),
    (UsageLimits, "UsageLimits", {"total_token": 1}, "total_tokens"),
    (lifespan, "lifespan", {"retension": ""}, "retention"),
    (cancel_run, "cancel_run", {"run": ""}, "run_id"),
]

LATER: list[tuple[Callable[..., object], str, dict[str, object], str]] = [
    (AGENT.await_run, "Agent.await_run", {"run_id": "", "time_out": 1}, "timeout"),
    (AGENT.aget_run_output, "Agent.aget_run_output", {"run": ""}, "run_id"),
    (serve, "serve", {"agents": [], "concurency": 1}, "concurrency"),
    (acancel_run, "acancel_run", {"runid": ""}, "run_id"),
]


def told(name: str, given: dict[str, object], meant: str) -> str:
    begins = f"{name}() got an unexpected keyword argument {[*given][-1]!r}. "
    return begins + (f"Did you mean {meant!r}?" if meant else "There are: ")


@pytest.mark.parametrize(("function", "name", "given", "meant"), CALLS)
def test_the_keyword_that_was_meant_is_named(
    function: Callable[..., object], name: str, given: dict[str, object], meant: str
) -> None:
    with pytest.raises(TypeError) as raised:
        function(**given)
    assert str(raised.value).startswith(told(name, given, meant))


@pytest.mark.parametrize(("function", "name", "given", "meant"), LATER)
async def test_an_asynchronous_function_says_it_too(
    function: Callable[..., object], name: str, given: dict[str, object], meant: str
) -> None:
    assert inspect.iscoroutinefunction(function)
    with pytest.raises(TypeError) as raised:
        await function(**given)
    assert str(raised.value).startswith(told(name, given, meant))


def test_a_long_list_of_keywords_is_not_recited() -> None:
    with pytest.raises(TypeError) as raised:
        Agent(monitoring=True)  # type: ignore[call-overload]
    assert str(raised.value).endswith("'monitoring'. help(Agent) lists the keywords.")


def test_a_keyword_that_comes_later_is_not_taken_for_another() -> None:
    with pytest.raises(TypeError) as raised:
        AGENT.continue_run("run", sandbox=[])  # type: ignore[call-overload]
    assert str(raised.value) == (
        "Agent.continue_run() got an unexpected keyword argument 'sandbox'. kern does not have "
        "sandbox yet: docs/guides/coming-from-agno.md says what there is instead."
    )
    assert not LATER_KEYWORDS & {*KEYWORDS, *RunOptions.__annotations__}


def test_a_missing_argument_is_missed_by_what_the_user_called() -> None:
    missing: Callable[..., object] = AGENT.arun
    with pytest.raises(TypeError, match=r"^Agent.arun\(\) missing 1 required .* 'input'"):
        missing()


def test_signatures_stay_as_they_are() -> None:
    assert "num_history_runs" in inspect.signature(Agent).parameters
    assert [*inspect.signature(PostgresDb).parameters][:2] == ["db_url", "session_table"]
    assert AGENT.arun.__doc__ is not None
    assert AGENT.arun.__doc__.startswith("Run the agent.")


def test_every_keyword_belongs_to_one_part_that_documents_it() -> None:
    assert {*inspect.signature(Agent).parameters} == {*KEYWORDS}
    for name in KEYWORDS:
        [part] = [each for each in PARTS if name in each.__annotations__]
        assert f"\n        {name}: " in (part.__doc__ or ""), name
        assert f"\n    {name}: " in (Agent.__init__.__doc__ or ""), name


def test_every_option_of_a_run_is_shown_and_documented() -> None:
    assert {*get_type_hints(RunOptions)} <= {*inspect.signature(AGENT.arun).parameters}
    for name in RunOptions.__annotations__:
        assert f"\n            {name}: " in (AGENT.arun.__doc__ or ""), name
