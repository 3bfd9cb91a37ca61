"""What a run, its messages, its events and its metrics say under the names that users know."""

from dataclasses import dataclass

import pytest
from locally import LOCALLY

from kern.agent import (
    Agent,
    CustomEvent,
    ModelRequestCompletedEvent,
    ModelRequestStartedEvent,
    RunCompletedEvent,
    RunErrorEvent,
    RunEvent,
    RunOutput,
    RunOutputEvent,
    RunStartedEvent,
)
from kern.db.database import Database
from kern.errors import ModelError
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.run.message import Metrics
from kern.testing import Reply, ResponsesServer, Usage
from kern.testing.models import ScriptedModel


def weather(city: str) -> str:
    """Say how the weather is."""
    return f"sunny in {city}"


DOT = b"\x89PNG\r\n\x1a\n" + bytes(8)
CALL = Reply.tool_calls(("weather", {"city": "Bonn"})).counting(Usage(10, 5, cached_tokens=4))
ANSWER = Reply.text("It is ", "sunny.").thinking("Hm.").counting(Usage(20, 6))


@LOCALLY
async def test_a_run_shows_what_its_model_was_told(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [CALL, ANSWER, Reply.text("Well.")]
    agent = Agent(
        "Tester",
        model,
        db=db,
        instructions="Be brief.",
        tools=[weather],
        add_history_to_context=True,
    )
    first = await agent.arun("How is it?", session_id="session")
    assert [each.role for each in first.messages] == [
        *("system", "user", "assistant", "tool", "assistant"),
    ]
    assert first.messages[3].tool_name == "weather"
    used = [each.metrics for each in first.messages if each.role == "assistant"]
    assert [each and each.input_tokens for each in used] == [10, 20]
    second = await agent.arun("And now?", session_id="session")
    earlier = [each.text for each in second.messages if each.from_history]
    assert earlier == ["How is it?", "", "sunny in Bonn", "It is sunny."]
    assert [each.role for each in second.messages if not each.from_history] == [
        *("system", "user", "assistant"),
    ]
    kept = await agent.aget_run_output(second.run_id)
    assert kept is not None
    assert [each.role for each in kept.messages] == ["user", "assistant"], "its own only"


async def test_a_run_says_what_went_in_and_how_its_model_came_to_its_answer(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [CALL, ANSWER]
    agent = Agent("Tester", model, db=db, tools=[weather])
    run = await agent.arun("How is it?")
    kept = await agent.aget_run_output(run.run_id)
    assert kept is not None
    for each in (run, kept):
        assert each.input is not None
        assert each.input.input_content == "How is it?"
        assert (each.reasoning_content, each.citations) == ("Hm.", None)
        assert (each.is_paused, each.is_cancelled, each.active_requirements) == (False, False, [])
        assert each.get_content_as_string() == "It is sunny."
        [call] = each.tools
        assert call.tool_args == {"city": "Bonn"}
        assert call.metrics is not None
        assert (call.metrics.duration or 0) >= 0
        assert each.metrics.details is not None
        [own] = each.metrics.details["model"]
        assert (own.id, own.provider, own.input_tokens) == ("test-model", model.provider, 30)
        assert (own.cache_read_tokens, each.metrics.cache_read_tokens) == (4, 4)


@LOCALLY
async def test_details_tell_the_models_of_a_run_apart(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("A draft.").counting(Usage(10, 5)))
    writer = ScriptedModel([Reply.text("The answer.").counting(Usage(7, 3))], id="writer")
    agent = Agent("Tester", model, db=db, output_model=writer)
    run = await agent.arun("Well?")
    kept = await agent.aget_run_output(run.run_id)
    assert kept is not None
    for each in (run, kept):
        assert each.metrics.details is not None
        assert {
            kind: [(one.id, one.total_tokens) for one in models]
            for kind, models in each.metrics.details.items()
        } == {"model": [("test-model", 15)], "output_model": [("writer", 10)]}
    sums = await agent.aget_session_metrics(run.session_id)
    assert sums is not None
    assert sums.total_tokens == 25


async def test_events_say_what_their_classes_promise(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [CALL, ANSWER]
    agent = Agent("Tester", model, tools=[weather])
    options = {"stream_events": True, "metadata": {"a": 1}, "yield_run_output": True}
    *events, run = [each async for each in agent.arun("How is it?", stream=True, **options)]  # type: ignore[call-overload] # mypy knows no type of a dict's
    assert isinstance(run, RunOutput)
    assert all(isinstance(each, RunOutputEvent) for each in events)
    assert {each.agent_name for each in events} == {"Tester"}
    assert {each.response_audio for each in events} == {None}
    assert isinstance(events[0], RunStartedEvent)
    assert (events[0].model, events[0].model_provider) == ("test-model", model.provider)
    asked = [each for each in events if isinstance(each, ModelRequestStartedEvent)]
    assert [each.model for each in asked] == ["test-model"] * 2
    answered = [each for each in events if isinstance(each, ModelRequestCompletedEvent)]
    assert [(each.input_tokens, each.output_tokens, each.total_tokens) for each in answered] == [
        (10, 5, 15),
        (20, 6, 26),
    ]
    assert answered[0].cache_read_tokens == 4
    assert answered[1].time_to_first_token is not None
    started = [each for each in events if each.event == RunEvent.tool_call_started.value]
    assert [each.tools[0].tool_args for each in started] == [{"city": "Bonn"}]
    end = events[-1]
    assert isinstance(end, RunCompletedEvent)
    assert end.metrics is not None
    assert (end.content, end.metrics.total_tokens) == ("It is sunny.", 41)
    assert (end.reasoning_content, end.metadata) == ("Hm.", {"a": 1})
    for each in events:
        assert RunOutputEvent.from_dict(each.to_dict()) == each


async def test_a_stream_ends_with_the_run_where_that_is_asked_for(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("Well.")
    agent = Agent("Tester", model, db=db)
    for background in (False, True):
        events = agent.arun("Hi", stream=True, background=background, yield_run_output=True)
        found: list[object] = [each async for each in events]
        assert isinstance(found[-1], RunOutput)
        assert found[-1].content == "Well."
        assert not any(isinstance(each, RunOutput) for each in found[:-1])


@LOCALLY
async def test_the_end_of_a_failed_run_says_its_class(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.http_error(400, "No."))
    agent = Agent("Tester", model, db=db)
    found: list[RunOutputEvent] = []

    async def read() -> None:
        async for event in agent.arun("Hi", stream=True):
            found.append(event)

    with pytest.raises(ModelError):
        await read()
    assert isinstance(found[-1], RunErrorEvent)
    assert found[-1].error_type == "ModelError"


@dataclass
class Profile(CustomEvent):
    """What a program of a user's tells."""

    customer: str | None = None


def test_a_custom_event_is_made_by_its_own_fields() -> None:
    event = Profile(customer="Ada")
    assert (event.event, event.event == "CustomEvent") == (RunEvent.custom_event, True)
    event.run_id, event.tool_call_id = "run", "1"
    assert event.to_dict()["customer"] == "Ada"


def test_what_older_versions_have_stored_is_read() -> None:
    body: dict[str, object] = {
        "run_id": "run",
        "session_id": "session",
        "agent_id": "agent",
        "content": "Hi",
        "tools": [
            {"tool_call_id": "1", "tool_name": "pay", "tool_args": '{"a": 1}', "result": "ok"},
        ],
        "metrics": {"input_tokens": 3, "cached_tokens": 0, "duration": None, "unpriced_calls": 1},
        "requirements": [
            {
                "id": "run/1/0",
                "kind": "confirmation",
                "tool_execution": {"tool_call_id": "1", "tool_name": "pay", "tool_args": "{}"},
            }
        ],
    }
    run = RunOutput.from_dict(body)
    assert run.tools[0].tool_args == {"a": 1}
    assert run.metrics == Metrics(input_tokens=3, unpriced_calls=1)
    assert run.tools_requiring_confirmation == [run.requirements[0].tool_execution]
    assert RunOutput.from_dict(run.to_dict()) == run


def test_an_agent_can_be_copied() -> None:
    agent = Agent("Tester", "openai:any", tools=[weather], session_state={"seen": []})
    other = agent.deep_copy(update={"instructions": "Be brief."})
    assert (other.id, other.name, [*other.tools]) == ("tester", "Tester", ["weather"])
    assert (other.model, other.instructions, agent.instructions) == (agent.model, "Be brief.", None)
    assert other.session_state is not None
    assert agent.session_state is not None
    assert other.session_state["seen"] is not agent.session_state["seen"]
    assert not Agent(model="openai:any").deep_copy().is_named
    with pytest.raises(TypeError, match="instruction"):
        agent.deep_copy(update={"instruction": "Be brief."})


@LOCALLY
async def test_a_run_has_the_media_that_it_was_given(db: Database) -> None:
    agent = Agent("Tester", ScriptedModel(["A dot."]), db=db)
    run = await agent.arun("What is it?", images=[Image(content=DOT, format="png")])
    found = await agent.aget_run_output(run.run_id)
    for each in (run, found):
        assert each is not None
        assert each.input is not None
        assert each.input.input_content_string() == "What is it?"
        assert [image.mime_type for image in each.input.images] == ["image/png"]
    assert run.input is not None
    assert run.input.images[0].content == DOT
