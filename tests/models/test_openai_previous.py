"""Requests that say only what is new since an answer which the provider has stored."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire
from media import encoded, png

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.testing import ProtocolServer, Reply, ScriptedModel

CALL = Reply.tool_calls(("add", {"a": 1, "b": 2}))


def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def live(request: pytest.FixtureRequest) -> bool:
    """Whether answers come piece by piece."""
    return bool(request.param)


@pytest.fixture
async def going_on(server: ProtocolServer) -> AsyncIterator[OpenAIResponses]:
    """A model that sends only what is new."""
    async with at(server) as model:
        yield model


def at(server: ProtocolServer, id: str = "test-model", **options: Any) -> OpenAIResponses:
    given: dict[str, Any] = {
        "base_url": server.base_url,
        "max_retries": 0,
        "use_previous_response_id": True,
    }
    return OpenAIResponses(id, api_key="sk-test", **(given | options))


def sent(server: ProtocolServer) -> list[tuple[str | None, list[str]]]:
    """Return of each request what it goes on from, and the kinds of the items in it."""
    return [
        (
            each.body.get("previous_response_id"),
            [item.get("type", item.get("role")) for item in each.body["input"]],
        )
        for each in server.requests
    ]


def ids(server: ProtocolServer) -> list[str | None]:
    return [each.response_id for each in server.requests]


async def run(agent: Agent, text: str = "1 + 2?", **options: Any) -> RunOutput:
    ended: RunOutput = await agent.arun(text, **options)
    return ended


async def test_only_what_is_new_is_sent(
    going_on: OpenAIResponses, server: ProtocolServer, live: bool
) -> None:
    server.script += [CALL, CALL.thinking("Hm."), Reply.text("Three.")]
    agent = Agent("Adder", going_on, instructions="Add.", tools=[add], live=live)
    assert (await run(agent)).content == "Three."
    first, second, _ = ids(server)
    assert sent(server) == [
        (None, ["user"]),
        (first, ["function_call_output"]),
        (second, ["function_call_output"]),
    ]
    assert [each.body["instructions"] for each in server.requests] == ["Add."] * 3


async def test_the_next_run_of_the_session_goes_on_too(
    going_on: OpenAIResponses, server: ProtocolServer
) -> None:
    server.script += [CALL, Reply.text("Three."), Reply.text("You're welcome.")]
    agent = Agent(
        "Adder",
        going_on,
        tools=[add],
        db=InMemoryDb(),
        add_history_to_context=True,
        num_history_runs=1,
    )
    await run(agent, session_id="s")
    await run(agent, "Thanks.", session_id="s")
    assert sent(server)[-1] == (ids(server)[1], ["user"])
    # The provider's conversation has the first run too, which this one is not to be shown.
    await run(agent, "Bye.", session_id="s")
    assert sent(server)[-1] == (None, ["user", "message", "user"])


async def test_the_whole_is_sent_where_the_provider_does_not_find_its_answer(
    going_on: OpenAIResponses, server: ProtocolServer, live: bool
) -> None:
    def add(a: int, b: int) -> int:
        server.forget()
        return a + b

    server.script += [CALL, Reply.text("Three.")]
    assert (await run(Agent("Adder", going_on, tools=[add], live=live))).content == "Three."
    assert sent(server) == [
        (None, ["user"]),
        (server.requests[0].response_id, ["function_call_output"]),
        (None, ["user", "function_call", "function_call_output"]),
    ]


async def test_another_model_is_told_everything_and_what_it_said_is_new_to_the_first(
    going_on: OpenAIResponses, server: ProtocolServer
) -> None:
    server.script += [CALL, Reply.http_error(500), Reply.text("Three.")]
    other = ScriptedModel([CALL], id="other")
    agent = Agent("Adder", going_on, tools=[add], fallback_models=[other])
    assert (await run(agent)).content == "Three."
    assert [each.role for each in other.requests[0].messages] == ["user", "assistant", "tool"]
    assert sent(server)[-1] == (
        ids(server)[0],
        ["function_call_output", "function_call", "function_call_output"],
    )


async def test_another_model_at_the_same_server_goes_on_from_nothing(
    going_on: OpenAIResponses, server: ProtocolServer
) -> None:
    server.script += [CALL, Reply.http_error(500), Reply.text("Three.")]
    async with at(server, "other") as other:
        await run(Agent("Adder", going_on, tools=[add], fallback_models=[other]))
    assert sent(server)[-1] == (None, ["user", "function_call", "function_call_output"])


async def test_without_the_option_the_whole_is_sent(server: ProtocolServer) -> None:
    async with at(server, use_previous_response_id=False) as model:
        server.script += [CALL, Reply.text("Three.")]
        await run(Agent("Adder", model, tools=[add]))
    assert [previous for previous, _ in sent(server)] == [None, None]


async def test_an_error_that_is_none_of_the_stored_answer_is_not_asked_for_again(
    going_on: OpenAIResponses, server: ProtocolServer
) -> None:
    server.script += [CALL, Reply.http_error(400, code="context_length_exceeded")]
    with pytest.raises(Exception, match="answered 400"):
        await run(Agent("Adder", going_on, tools=[add]))
    assert len(server.requests) == 2


@pytest.mark.parametrize("options", [{"store": False}, {"request_params": {"store": False}}])
def test_a_provider_that_stores_nothing_has_nothing_to_go_on_from(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="use_previous_response_id goes on from"):
        OpenAIResponses(use_previous_response_id=True, **options)


BODY = """
model = OpenAIResponses("test-model", max_retries=0, use_previous_response_id=True)

async def add(a: int, b: int) -> int:
    say("held")
    await asyncio.Event().wait()

agent = Agent("Adder", model, db=db, tools=[add])
await agent.arun("1 + 2?", background=True, run_id="run")
await hear()
"""


async def test_after_a_kill_the_next_attempt_goes_on_from_the_stored_answer(
    going_on: OpenAIResponses, server: ProtocolServer, shared_db: Database, elsewhere: Elsewhere
) -> None:
    server.script += [CALL, Reply.text("Three.")]
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1")
    assert await process.said() == "held"
    process.send(signal.SIGKILL)
    await process.ended()
    await expire(shared_db, "run")
    agent = Agent("Adder", going_on, db=shared_db, tools=[add])
    (await open_runtime(shared_db)).serve(agent)
    ended = await agent.await_run("run", timeout=20)
    assert ended is not None
    assert ended.content == "Three."
    assert sent(server) == [(None, ["user"]), (ids(server)[0], ["function_call_output"])]


async def test_a_conversation_with_media_goes_on_from_the_stored_answer(
    going_on: OpenAIResponses, server: ProtocolServer, shared_db: Database, live: bool
) -> None:
    drawing = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "output_format": "png",
        "result": encoded(png(2)),
    }
    server.script += [CALL, Reply.output(drawing), Reply.text("You're welcome.")]
    agent = Agent(
        "Adder", going_on, tools=[add], db=shared_db, add_history_to_context=True, live=live
    )
    await agent.arun("1 + 2?", images=[Image(content=png(1))], session_id="s")
    await run(agent, "Thanks.", session_id="s")
    first, second, _ = ids(server)
    assert sent(server) == [
        (None, ["user"]),
        (first, ["function_call_output"]),
        (second, ["user"]),
    ]


FORM = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


async def test_a_repair_says_only_what_was_wrong(
    going_on: OpenAIResponses, server: ProtocolServer, live: bool
) -> None:
    server.script += [Reply.text("{}"), Reply.text('{"x": 1}')]
    agent: Agent[Any, Any] = Agent("Pointer", going_on, output_schema=FORM, live=live)
    content: object = (await run(agent)).content
    assert content == {"x": 1}
    assert sent(server) == [(None, ["user"]), (ids(server)[0], ["user"])]


async def test_an_answer_by_a_tool_is_told_as_a_text(
    going_on: OpenAIResponses, server: ProtocolServer, live: bool
) -> None:
    going_on.supports_native_structured_outputs = False
    server.script += [
        CALL,
        Reply.tool_calls(("final_answer", {})),
        Reply.tool_calls(("final_answer", {"x": 1})),
    ]
    agent: Agent[Any, Any] = Agent("Adder", going_on, tools=[add], output_schema=FORM, live=live)
    content: object = (await run(agent)).content
    assert content == {"x": 1}
    first, *_ = ids(server)
    assert sent(server) == [
        (None, ["user"]),
        (first, ["function_call_output"]),
        (first, ["function_call_output", "message", "user"]),
    ]
