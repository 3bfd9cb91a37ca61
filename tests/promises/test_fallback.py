"""Where a model fails another answers, also in the middle of a run, and nothing is paid twice."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import open_runtime
from kern.errors import MissingKeyError, ModelError
from kern.models.anthropic import Claude
from kern.models.base import Model
from kern.models.fallback import FallbackConfig
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.testing import ProtocolServer, Reply, ScriptedModel

PATHS = {
    OpenAIResponses: "/responses",
    OpenAIChat: "/chat/completions",
    Claude: "/messages",
    Gemini: "enerateContent",
}
NewModel = Callable[..., Model]


@pytest.fixture
async def new(server: ProtocolServer) -> AsyncIterator[NewModel]:
    """Make a model at the server, which gives up at the first error unless told otherwise."""
    async with AsyncExitStack() as stack:

        def make(kind: Any = OpenAIResponses, id: str = "fallback", **options: Any) -> Model:
            url = server.url if kind in (Claude, Gemini) else server.base_url
            usual = {"base_url": url, "api_key": "sk-test", "max_retries": 0}
            model: Model = kind(id, **(usual | options))
            stack.push_async_callback(model.aclose)
            return model

        yield make


def paths(server: ProtocolServer) -> list[str]:
    """Return the ends of the paths that were asked."""
    ends = PATHS.values()
    return [next(end for end in ends if end in each.path) for each in server.requests]


async def in_background(agent: Agent[Any, Any]) -> RunOutput[Any]:
    run = await agent.arun("Hi", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    return ended


@pytest.mark.parametrize("kind", [*PATHS])
async def test_the_fallback_answers_once_the_models_own_retries_are_spent(
    kind: Any, new: NewModel, server: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Reply.http_error(500, headers={"retry-after-ms": "1"})
    server.script += [broken, broken, Reply.text("Hello.")]
    agent = Agent(
        "Tester", new(id="own", max_retries=1), db=InMemoryDb(), fallback_models=[new(kind)]
    )
    with caplog.at_level(logging.INFO):
        run = await in_background(agent)
    assert (run.status, run.content, run.metrics.model_calls) == (
        RunStatus.completed,
        "Hello.",
        1,
    )
    assert paths(server) == ["/responses", "/responses", PATHS[kind]]
    assert (run.model, run.model_provider) == ("fallback", agent.models[1].provider)
    assert await agent.aget_run_output(run.run_id) == run
    loud = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.levelname for each in loud] == ["WARNING"]
    assert "own failed: own answered 500" in loud[0].getMessage()
    assert loud[0].getMessage().endswith("Asking fallback.")


@pytest.mark.parametrize("kind", [*PATHS])
@pytest.mark.parametrize("streamed", [False, True])
async def test_in_the_middle_of_a_run_the_fallback_is_told_the_conversation_so_far(
    kind: Any, streamed: bool, new: NewModel, server: ProtocolServer
) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        asked.append(city)
        return f"It rains in {city}."

    server.script += [
        Reply.tool_calls(("weather", {"city": "Paris"})).thinking("Hm.", "SEALED"),
        Reply.http_error(503),
        Reply.tool_calls(("weather", {"city": "Rome"})),
        Reply.text("It rains in both."),
    ]
    agent = Agent(
        "Tester", new(id="own"), tools=[weather], db=InMemoryDb(), fallback_models=[new(kind)]
    )
    if streamed:
        events = [each async for each in agent.arun("Hi", stream=True, stream_events=True)]
        assert (events[-1].event, events[-1].content) == (
            RunEvent.run_completed,
            "It rains in both.",
        )
    else:
        assert (await in_background(agent)).model == "own"
    # The call after the fallback's begins with the agent's own model again.
    assert paths(server) == ["/responses", "/responses", PATHS[kind], "/responses"]
    to_own, to_fallback, again = (str(each.body) for each in server.requests[1:])
    assert "It rains in Paris." in to_fallback
    assert "SEALED" in to_own
    assert "SEALED" in again
    assert kind is OpenAIResponses or "SEALED" not in to_fallback
    assert "It rains in Rome." in again
    assert asked == ["Paris", "Rome"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply.http_error(401),
        Reply.http_error(404),
        Reply.http_error(429, code="insufficient_quota"),
    ],
)
async def test_a_model_that_fails_for_good_is_asked_once_a_run(reply: Reply) -> None:
    own = ScriptedModel([reply] * 2, id="own")
    other = ScriptedModel([Reply.tool_calls(("now", {})), "Done."], id="other")

    def now() -> str:
        return "noon"

    agent = Agent("Tester", own, tools=[now], db=InMemoryDb(), fallback_models=[other])
    run = await in_background(agent)
    assert (run.content, run.model) == ("Done.", "other")
    assert (len(own.requests), len(other.requests)) == (1, 2)


async def test_a_conversation_that_is_too_long_goes_on_with_the_model_for_long_ones() -> None:
    own = ScriptedModel([Reply.http_error(400, code="context_length_exceeded")], id="own")
    long = ScriptedModel([Reply.tool_calls(("now", {})), "Done."], id="long")
    small = ScriptedModel([], id="small")

    def now() -> str:
        return "noon"

    config = FallbackConfig([small], on_context_overflow=[long])
    agent = Agent("Tester", own, tools=[now], db=InMemoryDb(), fallback_config=config)
    assert (await in_background(agent)).content == "Done."
    assert (len(own.requests), len(long.requests), len(small.requests)) == (1, 2, 0)


async def test_readers_are_told_that_the_broken_text_is_void(
    new: NewModel, server: ProtocolServer
) -> None:
    server.script += [Reply.text("Once ", "upon ", "a time.").dropping(after=2)]
    server.script += [Reply.text("Long ", "ago.")]
    agent = Agent("Tester", new(id="own"), fallback_models=[new(Claude)])
    events = [each async for each in agent.arun("Hi", stream=True, stream_events=True)]
    told = [(each.event, each.content) for each in events[1:]]
    assert told == [
        (RunEvent.model_request_started, None),
        (RunEvent.run_content, "Once "),
        (RunEvent.run_content, "upon "),
        (RunEvent.run_content_voided, "Once upon "),
        (RunEvent.model_request_started, None),
        (RunEvent.run_content, "Long "),
        (RunEvent.run_content, "ago."),
        (RunEvent.model_request_completed, "Long ago."),
        (RunEvent.run_content_completed, "Long ago."),
        (RunEvent.run_completed, "Long ago."),
    ]
    assert [each.seq for each in events] == [*range(1, len(events) + 1)]


async def test_who_reads_later_is_told_the_same(
    new: NewModel, server: ProtocolServer, db: Database
) -> None:
    server.script += [Reply.text("Once ", "upon ", "a time.").dropping(after=2).slow(pause=0.05)]
    server.script += [Reply.text("Long ", "ago.")]
    agent = Agent("Tester", new(id="own"), db=db, fallback_models=[new(Claude)])
    stream = agent.arun("Hi", stream=True, stream_events=True, background=True)
    told = [(each.seq, each.event, each.content) async for each in stream]
    assert RunEvent.run_content_voided in [event for _, event, _ in told]
    run_id = (await agent.alist_runs())[0].run_id
    again = [(each.seq, each.event, each.content) async for each in agent.astream_run(run_id)]
    assert again == told


async def test_the_fallbacks_are_ready_before_runs_are_executed(new: NewModel) -> None:
    fallback = Claude("fallback")
    agent = Agent("Tester", new(), db=InMemoryDb(), fallback_models=[fallback])
    with pytest.raises(MissingKeyError, match="There is no API key for fallback"):
        await serve([agent])


async def test_if_all_fail_the_error_names_each_model_and_what_it_failed_of() -> None:
    models = [
        ScriptedModel([Reply.http_error(code, f"Broken {code}")], id=f"model-{code}")
        for code in (500, 404, 429)
    ]
    agent = Agent("Tester", models[0], fallback_models=models[1:])
    with pytest.raises(ModelError) as caught:
        await agent.arun("Hi")
    for code in (500, 404, 429):
        assert f"model-{code}: model-{code} answered {code}: Broken {code}" in str(caught.value)


async def test_a_run_that_all_failed_may_have_another_attempt() -> None:
    own = ScriptedModel([Reply.http_error(500), "Hello."], id="own")
    other = ScriptedModel([Reply.http_error(404)], id="other")
    agent = Agent("Tester", own, db=InMemoryDb(), fallback_models=[other], max_attempts=2)
    run = await in_background(agent)
    assert (run.content, run.attempt, run.model) == ("Hello.", 2, "own")


async def test_a_cancel_closes_the_connection_to_the_fallback(
    new: NewModel, server: ProtocolServer
) -> None:
    server.script += [Reply.http_error(500), Reply.hang()]
    agent = Agent("Tester", new(id="own"), db=InMemoryDb(), fallback_models=[new(Claude)])
    run = await agent.arun("Hi", background=True)
    await server.wait_for_requests(2)
    assert await agent.acancel_run(run.run_id)
    await server.wait_for_disconnects(1)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.cancelled


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_callback_is_told_who_answers_and_why(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, str, str]] = []

    def tell(primary: str, fallback: str, error: ModelError) -> None:
        told.append((primary, fallback, error.kind))
        raise ZeroDivisionError("no such number")

    async def tell_later(primary: str, fallback: str, error: ModelError) -> None:
        await asyncio.sleep(0)
        tell(primary, fallback, error)

    models = [ScriptedModel([Reply.http_error(500)], id=each) for each in ("own", "a")]
    config = FallbackConfig(
        [models[1], ScriptedModel(["Hello."], id="b")], callback=tell_later if is_async else tell
    )
    run = await Agent("Tester", models[0], fallback_config=config).arun("Hi")
    assert run.content == "Hello."
    assert told == [("own", "a", "server"), ("own", "b", "server")]
    assert "the fallback's callback raised ZeroDivisionError: no such number" in caplog.text


async def test_an_overridden_agent_asks_no_fallback() -> None:
    other = ScriptedModel(["Hello."], id="other")
    agent = Agent("Tester", ScriptedModel([]), fallback_models=[other])
    broken = ScriptedModel([Reply.http_error(500)])
    with agent.override(model=broken), pytest.raises(ModelError):
        await agent.arun("Hi")
    assert other.requests == []
    assert agent.models[1:] == (other,)


BODY = """
from kern.models.anthropic import Claude
own = OpenAIResponses("own", max_retries=0)
other = Claude("other", max_retries=0, base_url=os.environ["OPENAI_BASE_URL"].removesuffix("/v1"),
    api_key="sk-test")

async def hold() -> str:
    say("held")
    await asyncio.Event().wait()

agent = Agent("Tester", own, db=db, fallback_models=[other], tools=[hold])
await agent.arun("Tell me.", background=True, run_id="run")
await hear()
"""


async def test_after_a_crash_the_answer_of_the_fallback_is_not_paid_again(
    new: NewModel, server: ProtocolServer, shared_db: Database, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.http_error(500), Reply.tool_calls(("hold", {}))]
    process = elsewhere(BODY, KERN_IN_PROCESS_WORKER="1")
    assert await process.said() == "held"
    process.send(signal.SIGKILL)
    await process.ended()

    def hold() -> str:
        return "Held."

    server.script += [Reply.http_error(500), Reply.text("Done.")]
    agent = Agent(
        "Tester", new(id="own"), db=shared_db, fallback_models=[new(Claude, "other")], tools=[hold]
    )
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.content, run.model, run.metrics.model_calls) == ("Done.", "other", 2)
    assert paths(server) == ["/responses", "/messages", "/responses", "/messages"]


KEPT = """
own = OpenAIResponses("own", max_retries=0)
other = OpenAIResponses("other", background=True, max_retries=0)
agent = Agent("Tester", own, db=db, fallback_models=[other])
await agent.arun("Tell me.", background=True, run_id="run")
await hear()
"""


async def _kept(server: ProtocolServer, db: Database, elsewhere: Elsewhere) -> Reply:
    """Have the fallback's provider keep an answer to a run whose process is killed."""
    reply = Reply.text("Once ", "upon ", "a time.").held(after=1)
    server.script += [Reply.http_error(500), reply]
    process = elsewhere(KEPT, KERN_IN_PROCESS_WORKER="1")
    store = await db.store()
    async with asyncio.timeout(20):
        # Nothing tells of what another process journals unless it is streamed.
        while not any("handle" in row.payload for row in await store.events("run", 0)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    return reply


async def test_an_answer_that_the_fallbacks_provider_keeps_is_picked_up_after_a_crash(
    new: NewModel, server: ProtocolServer, shared_db: Database, elsewhere: Elsewhere
) -> None:
    reply = await _kept(server, shared_db, elsewhere)
    reply.release()
    fallback = new(id="other", background=True, max_retries=2)
    agent = Agent("Tester", new(id="own"), db=shared_db, fallback_models=[fallback])
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.content, run.model) == ("Once upon a time.", "other")
    assert len(server.requests) == 2


async def test_a_cancel_cancels_what_the_fallbacks_provider_keeps(
    new: NewModel,
    server: ProtocolServer,
    shared_db: Database,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await _kept(server, shared_db, elsewhere)
    await (await shared_db.store()).events("run", 0)
    fallback = new(id="other", background=True)
    agent = Agent("Tester", new(id="own"), db=shared_db, fallback_models=[fallback])
    await expire(shared_db, "run")
    assert await agent.acancel_run("run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert run.status is RunStatus.cancelled
    assert server.cancelled == [server.requests[1].response_id]


async def test_a_choice_of_tools_in_another_providers_form_is_not_sent(
    new: NewModel, server: ProtocolServer
) -> None:
    def now() -> str:
        return "noon"

    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    server.script.append(Reply.http_error(500))
    agent = Agent(
        "Tester", new(id="own"), tools=[now], tool_choice=choice, fallback_models=[new(Claude)]
    )
    assert (await agent.arun("Hi")).content == "Hello."
    own, other = server.requests
    assert own.body["tool_choice"] == choice
    assert "tool_choice" not in other.body


async def test_each_model_is_brought_to_the_form_in_its_own_way_and_repairs_for_another(
    new: NewModel, server: ProtocolServer
) -> None:
    # Claude cannot be told it, and gives it as the arguments of a tool.
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    server.script += [
        Reply.http_error(500),
        Reply.tool_calls(("final_answer", {"x": "one"})),
        Reply.text('{"x": 1}'),
    ]
    agent: Agent[Any, Any] = Agent(
        "Tester",
        new(id="own"),
        db=InMemoryDb(),
        fallback_models=[new(Claude)],
        output_schema=schema,
    )
    run = await in_background(agent)
    content: object = run.content
    assert (run.status, content, run.model) == (RunStatus.completed, {"x": 1}, "own")
    assert run.metrics.model_calls == 2
    assert paths(server) == ["/responses", "/messages", "/responses"]
    first, second, third = (each.body for each in server.requests)
    assert first["text"]["format"]["schema"] == schema
    assert [each["name"] for each in second["tools"]] == ["final_answer"]
    assert "final_answer" not in str(third)
    assert "is not of type" in str(third["input"][-1])
