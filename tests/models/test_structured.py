"""A model is brought to a form in the way that its provider has."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from kern.models.anthropic import Claude
from kern.models.base import Model, ModelRequest, ModelResponse, OutputMode, OutputSchema, Text
from kern.models.deepseek import DeepSeek
from kern.models.form import Form
from kern.models.google import Gemini
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.models.structured import respond, stream
from kern.run.message import Message
from kern.run.tool import ToolSchema
from kern.testing import ProtocolServer, Reply

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "minimum": 0}},
    "required": ["x"],
}
TREE = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["children"],
}
OPEN = {"type": "object", "additionalProperties": {"type": "integer"}}
LOOK = ToolSchema("look", "Looks.", {"type": "object", "properties": {}})
HELLO = Message("user", "Where?")


@pytest.fixture
async def server() -> AsyncGenerator[ProtocolServer, None]:
    async with ProtocolServer() as server:
        yield server


def model_at(server: ProtocolServer, kind: str, **options: Any) -> Model:
    root = server.base_url.removesuffix("/v1")
    match kind:
        case "responses":
            return OpenAIResponses("gpt-5.4", api_key="k", base_url=server.base_url)
        case "chat":
            return OpenAIChat("gpt-5.4", api_key="k", base_url=server.base_url)
        case "deepseek":
            return DeepSeek(api_key="k", base_url=server.base_url)
        case "claude":
            return Claude(api_key="k", base_url=root, **options)
        case "gemini":
            return Gemini(api_key="k", base_url=root)
    return Gemini("gemini-2.5-flash", api_key="k", base_url=root)


def form_of(schema: dict[str, Any], mode: OutputMode | None = None) -> OutputSchema:
    return OutputSchema("point", schema, mode=mode)


async def asked(
    server: ProtocolServer, model: Model, form: OutputSchema, reply: Reply, *tools: ToolSchema
) -> tuple[dict[str, Any], ModelResponse, str]:
    """Ask, streamed and not, and return what was sent, the answer, and the text in its pieces."""
    server.script += [reply, reply]
    request = ModelRequest([HELLO], tools, output_schema=form)
    response, text = await respond(model, request), ""
    async for piece in stream(model, request):
        text += piece.text if isinstance(piece, Text) else ""
        if isinstance(piece, ModelResponse):
            assert piece.message.text == response.message.text
    await model.aclose()
    return dict(server.requests[-2].body), response, text


JSON = Reply.text('{"x":', " 1}")


@pytest.mark.parametrize("kind", ["responses", "chat", "claude", "gemini"])
async def test_a_provider_that_takes_the_schema_gets_it(server: ProtocolServer, kind: str) -> None:
    body, response, text = await asked(server, model_at(server, kind), form_of(POINT), JSON, LOOK)
    assert text == response.message.text == '{"x": 1}'
    match kind:
        case "responses":
            sent = body["text"]["format"]
            assert sent["strict"] is True
            assert sent["schema"]["required"] == ["x", "y"]
        case "chat":
            sent = body["response_format"]["json_schema"]
            assert sent["strict"] is True
            assert sent["schema"]["additionalProperties"] is False
        case "claude":
            sent = body["output_config"]["format"]
            assert sent["schema"]["properties"]["y"] == {
                "type": "integer",
                "description": "minimum: 0",
            }
        case "gemini":
            config = body["generationConfig"]
            assert config["responseMimeType"] == "application/json"
            assert config["responseJsonSchema"]["properties"]["y"]["minimum"] == 0


@pytest.mark.parametrize("kind", ["responses", "chat"])
async def test_what_cannot_be_said_strictly_is_not_strict(
    server: ProtocolServer, kind: str
) -> None:
    body, _, _ = await asked(server, model_at(server, kind), form_of(OPEN), JSON)
    sent = body["text"]["format"] if kind == "responses" else body["response_format"]["json_schema"]
    assert (sent["strict"], sent["schema"]) == (False, OPEN)


@pytest.mark.parametrize(
    ("kind", "schema"), [("claude", TREE), ("claude", OPEN), ("gemini-2.5", POINT)]
)
async def test_else_the_answer_is_the_arguments_of_a_tool(
    server: ProtocolServer, kind: str, schema: dict[str, Any]
) -> None:
    reply = Reply.tool_calls(("final_answer", {"x": 1}))
    model = model_at(server, kind)
    body, response, text = await asked(server, model, form_of(schema), reply, LOOK)
    assert Form({"type": "object"}).read(response.message.text) == {"x": 1}
    assert Form({"type": "object"}).read(text) == {"x": 1}
    assert response.message.tool_calls == []
    assert response.message.provider_items == []
    if kind == "claude":
        assert [each["name"] for each in body["tools"]] == ["look", "final_answer"]
        assert body["tool_choice"] == {"type": "any"}
        assert "output_config" not in body
    else:
        assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY"}
        assert "responseMimeType" not in body.get("generationConfig", {})


async def test_other_calls_are_made_as_they_are(server: ProtocolServer) -> None:
    reply = Reply.tool_calls(("look", {}))
    model = model_at(server, "claude")
    _, response, text = await asked(server, model, form_of(TREE), reply, LOOK)
    assert [each.name for each in response.message.tool_calls] == ["look"]
    assert text == ""


async def test_claude_is_not_made_to_call_a_tool_while_it_thinks(
    server: ProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_at(server, "claude", thinking={"type": "adaptive"})
    body, _, _ = await asked(server, model, form_of(TREE), JSON)
    assert body["tool_choice"] == {"type": "auto"}
    assert caplog.records == []


async def test_a_tool_of_the_same_name_stays(server: ProtocolServer) -> None:
    own = ToolSchema("final_answer", "Is the agent's.", {"type": "object"})
    reply = Reply.tool_calls(("final_answer_", {"x": 1}))
    body, response, _ = await asked(server, model_at(server, "claude"), form_of(TREE), reply, own)
    assert [each["name"] for each in body["tools"]] == ["final_answer", "final_answer_"]
    assert response.message.text


@pytest.mark.parametrize("kind", ["deepseek", "responses", "chat", "claude", "gemini"])
async def test_json_mode_tells_the_schema_in_words(server: ProtocolServer, kind: str) -> None:
    mode: OutputMode | None = None if kind == "deepseek" else "json"
    body, _, _ = await asked(server, model_at(server, kind), form_of(POINT, mode), JSON)
    assert "JSON Schema" in str(body)
    assert '\\"x\\"' in str(body).replace('"x"', '\\"x\\"')
    match kind:
        case "responses":
            assert body["text"]["format"] == {"type": "json_object"}
        case "chat" | "deepseek":
            assert body["response_format"] == {"type": "json_object"}
        case "claude":
            assert "output_config" not in body
        case "gemini":
            assert body["generationConfig"] == {"responseMimeType": "application/json"}


async def test_without_a_schema_nothing_is_added(server: ProtocolServer) -> None:
    server.script.append(Reply.text("Here."))
    response = await respond(model_at(server, "chat"), ModelRequest([HELLO]))
    assert response.message.text == "Here."
    assert "response_format" not in server.requests[-1].body


@pytest.mark.parametrize(
    ("made", "has_tools", "mode"),
    [
        (OpenAIChat("gpt-4o"), True, "native"),
        (OpenAIChat("gpt-4.1"), True, "native"),
        (OpenAIChat("gpt-4-turbo"), False, "json"),
        (OpenAIResponses("gpt-3.5-turbo"), True, "tool"),
        (Claude("claude-3-7-sonnet-latest"), False, "tool"),
        (Claude("claude-sonnet-4-20250514"), False, "tool"),
        (Claude("claude-sonnet-4-5"), True, "native"),
        (Claude("claude-next"), True, "native"),
        (Gemini("gemini-2.5-flash"), False, "native"),
        (Gemini("gemini-4"), True, "native"),
    ],
)
def test_an_older_model_has_no_form_of_an_answer(made: Model, has_tools: bool, mode: str) -> None:
    tools = [LOOK] if has_tools else []
    request = ModelRequest([HELLO], tools, output_schema=form_of(POINT))
    assert made.output_mode(request) == mode


async def test_what_is_said_beside_the_final_tool_is_not_the_answer(
    server: ProtocolServer,
) -> None:
    reply = Reply.text("Let me see.").calling(("final_answer", {"x": 1}))
    _, response, _ = await asked(server, model_at(server, "claude"), form_of(TREE), reply)
    assert response.message.text == '{"x": 1}'


async def test_the_final_tool_may_be_called_where_no_other_may(server: ProtocolServer) -> None:
    server.script.append(Reply.tool_calls(("final_answer", {"x": 1})))
    model = model_at(server, "claude")
    request = ModelRequest([HELLO], [LOOK], tool_choice="none", output_schema=form_of(TREE))
    response = await respond(model, request)
    await model.aclose()
    assert Form({"type": "object"}).read(response.message.text) == {"x": 1}
    body = server.requests[-1].body
    assert [each["name"] for each in body["tools"]] == ["final_answer"]
    assert body["tool_choice"] == {"type": "any"}
