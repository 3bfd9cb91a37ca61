"""Models in the process of the test, and what keeps a test from asking a provider."""

import asyncio

import pytest

from kern import models, tool
from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, ModelError
from kern.models.base import CallArguments, ModelRequest, ModelResponse, Piece, Reasoning, Text
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.message import Message, Metrics
from kern.testing import FunctionModel, ProtocolServer, Reply, ScriptedModel, Usage

HI = ModelRequest([Message("user", "Hi")])


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def pieces_of(model: FunctionModel) -> list[Piece]:
    return [piece async for piece in model.stream(HI)]


async def test_a_script_answers_in_order_and_then_by_default() -> None:
    model = ScriptedModel(
        ["One.", Reply.text("T", "wo."), lambda request: request.messages[0].text]
    )
    answers = [(await model.respond(HI)).message.text for _ in range(4)]
    assert answers == ["One.", "Two.", "Hi", "Hello."]
    assert [request.messages for request in model.requests] == [tuple(HI.messages)] * 4


async def test_a_function_may_be_awaited() -> None:
    async def answer(request: ModelRequest) -> str:
        await asyncio.sleep(0)
        return request.messages[-1].text.upper()

    assert (await FunctionModel(answer).respond(HI)).message.text == "HI"
    assert (await FunctionModel(lambda _: "No.").respond(HI)).message.text == "No."


async def test_a_stream_has_every_kind_of_piece() -> None:
    reply = Reply.text("Add", "ing.").thinking("Hmm").calling(("add", {"a": 1}))
    *pieces, response = await pieces_of(ScriptedModel([reply.counting(Usage(7, 3, 2, 1))]))
    assert isinstance(response, ModelResponse)
    [call] = response.message.tool_calls
    assert pieces == [
        Reasoning("Hmm"),
        Text("Add"),
        Text("ing."),
        CallArguments(0, call.id, "add", ""),
        CallArguments(0, None, None, '{"a"'),
        CallArguments(0, None, None, ": 1}"),
    ]
    assert (call.name, call.arguments) == ("add", '{"a": 1}')
    assert response.finish_reason == "tool_calls"
    assert response.metrics == Metrics(7, 3, 10, 2, 1, model_calls=1)


@pytest.mark.parametrize(
    ("reply", "kind", "transient", "content"),
    [
        (Reply.http_error(429, headers={"retry-after": "3"}), "rate_limit", True, None),
        (Reply.http_error(401), "authentication", False, None),
        (Reply.failed("server_error", "Oh.", "par"), "server", True, "par"),
        (Reply.incomplete("par"), "output_limit", False, "par"),
        (Reply.incomplete("par", reason="content_filter"), "content_filter", False, "par"),
        (Reply.garbage(), "malformed", False, None),
        (Reply.dropped(), "connection", True, None),
        (Reply.text("a", "b", "c").dropping(2), "connection", True, "ab"),
        (Reply(), "empty", True, None),
    ],
)
async def test_a_reply_that_fails_raises_what_a_provider_would(
    reply: Reply, kind: str, transient: bool, content: str | None
) -> None:
    with pytest.raises(ModelError) as raised:
        await ScriptedModel([reply]).respond(HI)
    error = raised.value
    assert (error.kind, error.transient, error.content) == (kind, transient, content)
    assert error.retry_after == (3 if kind == "rate_limit" else None)


async def test_a_refusal_is_marked() -> None:
    response = await ScriptedModel([Reply.refusal("No.")]).respond(HI)
    assert (response.message.text, response.message.refusal) == ("No.", True)


async def test_what_only_a_provider_sends_needs_a_server() -> None:
    with pytest.raises(ConfigurationError, match="ProtocolServer"):
        await ScriptedModel([Reply.output({"type": "odd"})]).respond(HI)


async def test_a_held_reply_goes_on_once_it_is_released() -> None:
    reply = Reply.text("a", "b").held(1)
    stream = ScriptedModel([reply]).stream(HI)
    assert await anext(stream) == Text("a")
    rest = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not rest.done()
    reply.release()
    assert await rest == Text("b")
    await stream.aclose()


def test_an_agent_calls_its_tools_for_a_scripted_model() -> None:
    model = ScriptedModel([Reply.tool_calls(("add", {"a": 1, "b": 2})), "It is 3."])
    assert Agent("Adder", model, tools=[add]).run("1 + 2?").content == "It is 3."
    assert model.requests[1].messages[-1].text == "3"


class TestOverride:
    """``Agent.override``."""

    async def test_it_answers_within_and_the_own_model_after(self) -> None:
        agent = Agent("Tester", ScriptedModel(default="Own."))
        with agent.override(model=ScriptedModel(default="Other.")) as same:
            assert same is agent
            with agent.override(model=ScriptedModel(default="Inner.")):
                assert (await agent.arun("Hi")).content == "Inner."
            assert (await agent.arun("Hi")).content == "Other."
        assert (await agent.arun("Hi")).content == "Own."

    async def test_it_ends_with_an_error(self) -> None:
        own = ScriptedModel()
        agent = Agent("Tester", own)
        with pytest.raises(ZeroDivisionError), agent.override(model=ScriptedModel()):
            raise ZeroDivisionError
        assert agent.model is own

    async def test_it_answers_background_runs_that_begin_within(self) -> None:
        reply = Reply.text("Other.").held()
        agent = Agent("Tester", ScriptedModel(default="Own."), db=InMemoryDb())
        with agent.override(model=ScriptedModel(default=reply)):
            run = await agent.arun("Hi", background=True)
        reply.release()
        ended = await agent.await_run(run.run_id)
        assert ended
        assert ended.content == "Other."


class TestNoRequests:
    """``kern.models.ALLOW_MODEL_REQUESTS``."""

    @pytest.fixture(autouse=True)
    def _forbid(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(models, "ALLOW_MODEL_REQUESTS", False)

    async def test_a_provider_is_not_asked(self) -> None:
        async with ProtocolServer() as server:
            model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
            with pytest.raises(ModelError, match="ALLOW_MODEL_REQUESTS is False"):
                await model.respond(HI)
            with pytest.raises(ModelError, match="ALLOW_MODEL_REQUESTS is False"):
                await anext(model.stream(HI))
            agent = Agent("Tester", model, db=InMemoryDb())
            run = await agent.await_run((await agent.arun("Hi", background=True)).run_id)
            await model.aclose()
            assert server.requests == []
        assert run
        assert run.status is RunStatus.error
        assert run.error
        assert "ALLOW_MODEL_REQUESTS" in run.error

    async def test_a_model_in_the_process_answers(self) -> None:
        agent = Agent("Tester", OpenAIResponses("any", api_key="none"))
        with agent.override(model=ScriptedModel()):
            assert (await agent.arun("Hi")).content == "Hello."
