"""A span is an attempt, a model call or a tool call, by the conventions for generative AI."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from collector import CLIENT, ERROR, INTERNAL, Collector, Span
from opentelemetry.sdk.trace import TracerProvider

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.telemetry import OpenTelemetry, instrument
from kern.testing import Reply, ResponsesServer, ScriptedModel
from kern.tools import tool


@pytest.fixture
def otel(tracers: TracerProvider) -> OpenTelemetry:
    """Telemetry for all agents of the process."""
    return instrument(tracer_provider=tracers)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def break_down() -> None:
    """Fail."""
    raise ValueError("a secret")


async def test_a_run_is_told_by_three_kinds_of_spans(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("add", {"a": 1, "b": 2})), Reply.text("Three.")]
    agent = Agent("Counter", model, id="counter-1", tools=[add], db=InMemoryDb())
    run = await agent.arun("Add.", background=True)
    await agent.await_run(run.run_id, timeout=20)
    attempt, first, second, call = await _of_run(collector, run.run_id, 4)
    assert [attempt.name, first.name, second.name, call.name] == [
        *("invoke_agent Counter", "chat test-model", "chat test-model", "execute_tool add"),
    ]
    assert [each.kind for each in (attempt, first, call)] == [INTERNAL, CLIENT, INTERNAL]
    assert attempt.parent_id == ""
    assert {each.parent_id for each in (first, second, call)} == {attempt.span_id}
    assert len({each.trace_id for each in (attempt, first, second, call)}) == 1
    assert attempt.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "Counter",
        "gen_ai.conversation.id": run.session_id,
        "gen_ai.usage.input_tokens": 2 * first.attributes["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": 2 * first.attributes["gen_ai.usage.output_tokens"],
        "kern.agent.id": "counter-1",
        "kern.run.id": run.run_id,
        "kern.run.attempt": 1,
        "kern.run.status": "COMPLETED",
    }
    host, _, port = server.base_url.partition("//")[2].partition("/")[0].partition(":")
    assert (
        first.attributes.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "test-model",
            "gen_ai.response.model": "test-model",
            "gen_ai.conversation.id": run.session_id,
            "server.address": host,
            "server.port": int(port),
        }.items()
    )
    assert first.attributes["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert second.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert call.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": run_call(server),
        "gen_ai.agent.name": "Counter",
        "gen_ai.conversation.id": run.session_id,
    }


def run_call(server: ResponsesServer) -> str:
    """Return the id of the tool call, as the second request has it."""
    items = server.requests[1].body["input"]
    return str(next(each["call_id"] for each in items if each.get("type") == "function_call"))


async def test_what_was_said_is_in_no_span_unless_asked_for(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("break_down", {})), Reply.text("my answer")]
    agent = Agent("Silent", model, tools=[break_down], instructions="my orders")
    run = await agent.arun("my question")
    await _of_run(collector, run.run_id, 4)
    told = " ".join(f"{each.attributes} {each.description}" for each in collector.spans)
    for secret in ("my question", "my answer", "my orders", "a secret"):
        assert secret not in told


async def test_content_has_the_form_of_the_conventions(
    tracers: TracerProvider, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("add", {"a": 1, "b": 2})), Reply.text("Three.")]
    observed = OpenTelemetry(content=True, tracer_provider=tracers)
    agent = Agent("Open", model, tools=[add], instructions="Be brief.", middleware=[observed])
    run = await agent.arun("Add.")
    attempt, _, second, call = await _of_run(collector, run.run_id, 4)
    said = {name: value for name, value in second.attributes.items() if "messages" in name}
    call_id = call.attributes["gen_ai.tool.call.id"]
    assert json.loads(said["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Add."}]},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "tool_call",
                    "id": call_id,
                    "name": "add",
                    "arguments": {"a": 1, "b": 2},
                }
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "response": "3", "id": call_id}],
        },
    ]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "Three."}]}]
    assert json.loads(said["gen_ai.output.messages"]) == answer
    assert json.loads(second.attributes["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert json.loads(second.attributes["gen_ai.tool.definitions"])[0]["name"] == "add"
    assert json.loads(call.attributes["gen_ai.tool.call.arguments"]) == {"a": 1, "b": 2}
    assert call.attributes["gen_ai.tool.call.result"] == "3"
    assert json.loads(attempt.attributes["gen_ai.output.messages"]) == answer


async def test_a_failing_tool_fails_its_span_and_not_that_of_the_run(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("break_down", {})), Reply.text("It broke.")]
    run = await Agent("Breaker", model, tools=[break_down]).arun("Break.")
    attempt, _, _, call = await _of_run(collector, run.run_id, 4)
    assert (call.status, call.attributes["error.type"]) == (ERROR, "_OTHER")
    assert attempt.status != ERROR


async def test_a_failing_model_fails_its_span_and_that_of_the_run(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.http_error(401, "my secret"))
    with pytest.raises(ModelError) as raised:
        await Agent("Failing", model).arun("Fail.")
    kind = type(raised.value).__name__
    [call] = await collector.wait("chat")
    [attempt] = await collector.wait("invoke_agent")
    assert (call.status, call.attributes["error.type"]) == (ERROR, kind)
    assert (attempt.status, attempt.attributes["error.type"]) == (ERROR, kind)
    assert attempt.attributes["kern.run.status"] == "ERROR"
    assert call.attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert (call.description, attempt.description) == ("", "")  # It may quote what was said.


async def test_each_model_that_is_asked_has_a_span_of_its_own(
    otel: OpenTelemetry, collector: Collector
) -> None:
    first = ScriptedModel([Reply.http_error(500)], id="first")
    second = ScriptedModel(["Here."], id="second")
    suggests = ScriptedModel(['{"followups": ["More?"]}'], id="third")
    agent = Agent(
        "Falling", first, fallback_models=[second], followups=True, followup_model=suggests
    )
    run = await agent.arun("Hello?")
    spans = await _of_run(collector, run.run_id, 4)
    assert [(each.name, each.status) for each in spans[1:]] == [
        ("chat first", ERROR),
        ("chat second", 0),
        ("chat third", 0),
    ]
    assert spans[0].status == 0


async def test_a_cancel_ends_all_spans_and_is_no_error(
    otel: OpenTelemetry,
    collector: Collector,
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> None:
    server.script.append(Reply.hang())
    agent = Agent("Endless", model, db=db)
    run = await agent.arun("Wait.", background=True)
    await server.wait_for_requests(1)
    await agent.acancel_run(run.run_id)
    attempt, call = await _of_run(collector, run.run_id, 2)
    assert attempt.attributes["kern.run.status"] == "CANCELLED"
    assert (attempt.status, call.status) == (0, 0)
    assert "error.type" not in attempt.attributes.keys() | call.attributes.keys()


async def test_a_stream_says_when_its_first_piece_came(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("One ", "two ", "three."))
    agent = Agent("Talker", model)
    pieces = [each.content async for each in agent.arun("Talk.", stream=True)]
    assert len(pieces) > 1
    [call] = await collector.wait("chat")
    assert call.attributes["gen_ai.request.stream"] is True
    assert 0 < call.attributes["gen_ai.response.time_to_first_chunk"] <= call.seconds


async def test_a_stream_that_its_reader_leaves_ends_its_spans(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("One ", "two ").held(after=1))
    agent = Agent("Talker", model)
    async for _ in agent.arun("Talk.", stream=True):
        break
    [attempt] = await collector.wait("invoke_agent")
    assert attempt.attributes["kern.run.status"] == "CANCELLED"


async def test_a_pause_ends_the_span_and_what_follows_is_linked_to_it(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("pay", {})), Reply.text("Paid.")]

    @tool(requires_confirmation=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    agent = Agent("Payer", model, tools=[pay], db=InMemoryDb())
    run = await agent.arun("Pay.")
    assert run.status is RunStatus.paused
    for each in run.active_requirements:
        each.confirm()
    await agent.acontinue_run(run)
    attempts = await collector.wait("invoke_agent", 2)
    first, second = sorted(attempts, key=lambda each: each.attributes["kern.run.attempt"])
    assert first.attributes["kern.run.status"] == "PAUSED"
    assert second.attributes["kern.run.status"] == "COMPLETED"
    assert (first.trace_id, first.span_id) in second.links


async def test_children_are_below_the_calls_that_start_them_three_deep(
    otel: OpenTelemetry,
    collector: Collector,
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
) -> None:
    leaf = Agent("Leaf", model, db=db)
    middle = Agent("Middle", model, db=db, tools=[leaf.as_tool(name="ask_leaf")])
    root = Agent("Root", model, db=db, tools=[middle.as_tool(name="ask_middle")])
    server.script += [
        Reply.tool_calls(("ask_middle", {"input": "Go on."})),
        Reply.tool_calls(("ask_leaf", {"input": "Go on."})),
        *(Reply.text("deep"), Reply.text("deeper"), Reply.text("deepest")),
    ]
    run = await root.arun("Go.", background=True)
    ended = await root.await_run(run.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.completed
    spans = {each.name: each for each in await collector.wait("invoke_agent", 3)}
    calls = {each.name: each for each in await collector.wait("execute_tool", 2)}
    assert spans["invoke_agent Root"].parent_id == ""
    above = {
        "execute_tool ask_middle": "invoke_agent Root",
        "invoke_agent Middle": "execute_tool ask_middle",
        "execute_tool ask_leaf": "invoke_agent Middle",
        "invoke_agent Leaf": "execute_tool ask_leaf",
    }
    found = spans | calls
    assert len({each.trace_id for each in found.values()}) == 1
    for below, name in above.items():
        assert found[below].parent_id == found[name].span_id


async def test_a_run_is_in_the_trace_in_which_it_was_submitted(
    otel: OpenTelemetry,
    tracers: TracerProvider,
    collector: Collector,
    db: Database,
    model: OpenAIResponses,
) -> None:
    agent = Agent("Child", model, db=db)
    with tracers.get_tracer("test").start_as_current_span("request"):
        run = await agent.arun("Hello?", background=True)
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        later = await agent.arun("Hello?", background=True, run_at=soon)
        ended = await agent.arun("Hello?")
    for waited in (run, later):
        await agent.await_run(waited.run_id, timeout=20)
    [request] = await collector.wait("request")
    [background] = await collector.wait("invoke_agent", kern_run_id=run.run_id)
    [foreground] = await collector.wait("invoke_agent", kern_run_id=ended.run_id)
    [claimed] = await collector.wait("invoke_agent", kern_run_id=later.run_id)
    for each in (background, foreground, claimed):
        assert (each.trace_id, each.parent_id) == (request.trace_id, request.span_id)


async def test_a_synchronous_run_is_in_the_trace_of_its_caller(
    otel: OpenTelemetry, tracers: TracerProvider, collector: Collector
) -> None:
    def work() -> str:
        with tracers.get_tracer("test").start_as_current_span("job"):
            return Agent("Sync", ScriptedModel(["Hello."]), db=InMemoryDb()).run("Hello?").run_id

    run_id = await asyncio.to_thread(work)
    [job] = await collector.wait("job")
    [attempt] = await collector.wait("invoke_agent", kern_run_id=run_id)
    assert (attempt.trace_id, attempt.parent_id) == (job.trace_id, job.span_id)


async def test_runs_side_by_side_do_not_mix_their_spans(
    otel: OpenTelemetry, collector: Collector, model: OpenAIResponses
) -> None:
    agent = Agent("Many", model)
    runs = await asyncio.gather(*(agent.arun(f"Number {each}") for each in range(8)))
    for run in runs:
        attempt, *below = await _of_run(collector, run.run_id, 2)
        assert {each.parent_id for each in below} == {attempt.span_id}


async def test_an_agents_own_middleware_takes_the_place_of_the_process_s(
    tracers: TracerProvider, collector: Collector, model: OpenAIResponses
) -> None:
    instrument(tracer_provider=tracers, content=True)
    quiet = OpenTelemetry(tracer_provider=tracers)
    run = await Agent("Quiet", model, middleware=[quiet]).arun("my question")
    attempt, *_ = await _of_run(collector, run.run_id, 2)
    assert "gen_ai.input.messages" not in attempt.attributes
    assert len(await collector.wait("invoke_agent")) == 1


async def _of_run(collector: Collector, run_id: str, count: int) -> list[Span]:
    """Return the spans of a run: its attempt, then its model calls, then its tool calls."""
    [attempt] = await collector.wait("invoke_agent", kern_run_id=run_id)

    def below() -> list[Span]:
        found = [each for each in collector.spans if each.parent_id == attempt.span_id]
        return sorted(found, key=lambda each: not each.name.startswith("chat"))

    # The attempt ends last, so they have come with it or before.
    found = below()
    assert len(found) == count - 1, [each.name for each in found]
    return [attempt, *found]
