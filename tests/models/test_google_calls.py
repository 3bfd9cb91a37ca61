"""Gemini over real HTTP: what arrives, what fails and is repeated, and what a cancel closes."""

import asyncio
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from asking import Ask, ask_for_a_stream, ask_for_the_whole, pieces_and_whole
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from generated import check_by_the_sdk, generated
from typing_extensions import override

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError, MissingKeyError, ModelError
from kern.models.base import ModelRequest
from kern.models.google import Gemini
from kern.models.openai import OpenAIResponses
from kern.run.content import ReasoningPart, TextPart
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply

KEY = "AIzaSy-very-secret-0123456789"
AT_ONCE = {"retry-after-ms": "1"}

NewGemini: TypeAlias = Callable[..., Gemini]


@pytest.fixture
def new_gemini(server: ProtocolServer) -> NewGemini:
    """Make a model at the server, which gives up at the first error unless told otherwise."""
    models: list[Gemini] = []  # Kept while the event loop runs, which closes their connections.

    def make(**options: Any) -> Gemini:
        usual: dict[str, Any] = {"base_url": server.url, "api_key": KEY, "max_retries": 0}
        models.append(Gemini("gemini-3.7-flash", **(usual | options)))
        return models[-1]

    return make


@pytest.fixture
def gemini(new_gemini: NewGemini) -> Gemini:
    """A model at the server."""
    return new_gemini()


async def test_a_question_is_answered(gemini: Gemini, server: ProtocolServer, ask: Ask) -> None:
    server.script.append(Reply.text("Hello ", "there.").thinking("Hm.", "signature"))
    response = await ask(gemini, "Hi")
    assert response.message.content == (ReasoningPart("Hm."), TextPart("Hello there."))
    assert response.message.provider_items[-1]["thoughtSignature"]
    [request] = server.requests
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["x-goog-api-client"].startswith("google-genai-sdk/")
    assert request.body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


async def test_whole_and_streamed_answers_have_their_addresses(
    gemini: Gemini, server: ProtocolServer
) -> None:
    await ask_for_the_whole(gemini, "Hi")
    pieces, _ = await pieces_and_whole(gemini, "Hi")
    assert pieces == ["Hello."]
    whole, streamed = server.requests
    assert whole.path.endswith("/models/gemini-3.7-flash:generateContent")
    assert streamed.path.endswith("/models/gemini-3.7-flash:streamGenerateContent")
    assert streamed.query == {"alt": "sse"}
    assert whole.body == streamed.body


async def test_a_large_request_arrives(gemini: Gemini, server: ProtocolServer, ask: Ask) -> None:
    await ask(gemini, "x" * 3_000_000)
    [content] = server.requests[0].body["contents"]
    assert len(content["parts"][0]["text"]) == 3_000_000


async def test_headers_and_parameters_are_sent(
    new_gemini: NewGemini, server: ProtocolServer, ask: Ask
) -> None:
    params = {"labels": {"a": "b"}, "extra_headers": {"X-More": "1"}}
    await ask(new_gemini(default_headers={"X-Team": "blue"}, request_params=params), "Hi")
    [request] = server.requests
    assert (request.headers["x-team"], request.headers["x-more"]) == ("blue", "1")
    assert request.body["labels"] == {"a": "b"}


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
async def test_the_key_and_the_server_come_from_the_environment(
    new_gemini: NewGemini,
    server: ProtocolServer,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    model = new_gemini(api_key=None, base_url=None)
    await ask(model, "Hi")
    assert server.requests[0].headers["x-goog-api-key"] == KEY
    assert model.origin == f"Google {server.url.removeprefix('http://')} gemini-3.7-flash"


async def test_a_missing_key_is_told_with_its_remedy_and_may_come_later(
    new_gemini: NewGemini, server: ProtocolServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = new_gemini(api_key=None)
    with pytest.raises(MissingKeyError, match="set GOOGLE_API_KEY, or pass api_key"):
        await ask(model, "Hi")
    assert server.requests == []
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert (await ask(model, "Hi")).message.content == "Hello."


async def test_vertex_takes_a_key_of_its_own(
    new_gemini: NewGemini, server: ProtocolServer, ask: Ask
) -> None:
    await ask(new_gemini(vertexai=True), "Hi")
    assert server.requests[0].headers["x-goog-api-key"] == KEY
    assert "/publishers/google/models/gemini-3.7-flash:" in server.requests[0].path


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service account's file, and a server that gives it tokens."""

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"access_token": "ya29.token", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as tokens:
        thread = threading.Thread(target=tokens.serve_forever, args=(0.05,))
        thread.start()
        account = {
            "type": "service_account",
            "project_id": "from-the-account",
            "private_key_id": "1",
            "private_key": key.decode(),
            "client_email": "tester@example.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{tokens.server_port}/token",
        }
        path = tmp_path_factory.mktemp("google") / "account.json"
        path.write_text(json.dumps(account))
        yield path
        tokens.shutdown()
        thread.join()


async def test_vertex_is_asked_in_a_project_with_the_credentials_of_google_cloud(
    new_gemini: NewGemini,
    server: ProtocolServer,
    ask: Ask,
    credentials: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    model = new_gemini(api_key=None, project_id="p", location="europe-west4")
    await ask(model, "Hi")
    [request] = server.requests
    assert request.headers["authorization"] == "Bearer ya29.token"
    assert (
        "/projects/p/locations/europe-west4/publishers/google/models/gemini-3.7-flash:"
        in request.path
    )


async def test_vertex_without_credentials_says_so(
    new_gemini: NewGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    model = new_gemini(
        vertexai=True, api_key=None, project_id="p", location="europe-west4", base_url=None
    )
    assert model.origin == "Google aiplatform.googleapis.com/europe-west4 gemini-3.7-flash"
    with pytest.raises(ModelError, match="Google Cloud gives no access") as raised:
        await ask_for_the_whole(model, "Hi")
    assert raised.value.kind == "authentication"


async def test_a_project_without_vertex_is_refused(new_gemini: NewGemini) -> None:
    with pytest.raises(ConfigurationError, match="project/location"):
        await new_gemini(project_id="p").prepare()


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, "invalid_request", ""),
        (401, "authentication", " Check GOOGLE_API_KEY."),
        (403, "authentication", " Check GOOGLE_API_KEY, and what it may do."),
        (404, "not_found", " Check the model's id and GOOGLE_GEMINI_BASE_URL."),
        (429, "rate_limit", " Wait, or ask the provider for a higher limit."),
        (500, "server", ""),
        (503, "overloaded", ""),
    ],
)
async def test_an_http_error_is_told_with_its_remedy(
    gemini: Gemini, server: ProtocolServer, ask: Ask, status: int, kind: str, advice: str
) -> None:
    server.script.append(Reply.http_error(status, "It is so.", headers={"retry-after": "7"}))
    with pytest.raises(ModelError) as raised:
        await ask(gemini, "Hi")
    error = raised.value
    assert str(error) == f"gemini-3.7-flash answered {status}: It is so.{advice}"
    assert (error.kind, error.status_code, error.retry_after) == (kind, status, 7)
    assert len(server.requests) == 1


async def test_an_http_error_that_is_no_json(
    gemini: Gemini, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.http_error(302, headers={"location": "http://127.0.0.1:9/"}))
    with pytest.raises(ModelError, match="answered 302"):
        await ask(gemini, "Hi")


@pytest.mark.parametrize("body", ["", "<html>", "{", b"\xff\xfe", "[" * 100_000])
async def test_an_answer_that_is_no_json(
    gemini: Gemini, server: ProtocolServer, ask: Ask, body: str | bytes
) -> None:
    server.script.append(Reply.garbage(body))
    with pytest.raises(ModelError, match="answered with something that is no JSON") as raised:
        await ask(gemini, "Hi")
    assert (raised.value.kind, raised.value.transient) == ("malformed", False)


async def test_an_event_that_is_no_json(gemini: Gemini, server: ProtocolServer) -> None:
    server.script.append(Reply.garbage("data: {oops\n\n", content_type="text/event-stream"))
    with pytest.raises(ModelError, match="no JSON") as raised:
        await ask_for_a_stream(gemini, "Hi")
    assert raised.value.kind == "malformed"


async def test_a_stream_that_ends_before_its_end(gemini: Gemini, server: ProtocolServer) -> None:
    event = 'data: {"candidates": [{"content": {"parts": [{"text": "Once"}]}}]}\n\n'
    server.script.append(Reply.garbage(event, content_type="text/event-stream"))
    with pytest.raises(ModelError, match="before it was complete") as raised:
        await ask_for_a_stream(gemini, "Hi")
    error = raised.value
    assert (error.kind, error.transient, error.content) == ("connection", True, "Once")


async def test_a_stream_that_breaks_off(gemini: Gemini, server: ProtocolServer) -> None:
    server.script.append(Reply.text("Once ", "upon").calling(("a", {})).dropping(after=1))
    with pytest.raises(ModelError) as raised:
        await ask_for_a_stream(gemini, "Hi")
    error = raised.value
    assert (error.kind, error.transient, error.content) == ("connection", True, "Once ")


async def test_a_failure_within_an_answer(
    new_gemini: NewGemini, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.failed("UNAVAILABLE", "The oven is cold."))
    with pytest.raises(
        ModelError, match=r"^gemini-3\.7-flash failed: The oven is cold\.$"
    ) as raised:
        await ask(new_gemini(), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("overloaded", True)


async def test_arguments_that_are_no_json_are_an_error_that_passes(
    gemini: Gemini, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.tool_calls(("a", "{oops")))
    with pytest.raises(ModelError, match="MALFORMED_FUNCTION_CALL") as raised:
        await ask(gemini, "Hi")
    assert (raised.value.kind, raised.value.transient) == ("malformed", True)


@pytest.mark.parametrize(
    "reply",
    [
        Reply.http_error(429, headers=AT_ONCE),
        Reply.http_error(503, headers=AT_ONCE),
        Reply.failed("INTERNAL", "It failed."),
        Reply.dropped(),
        Reply.dropped("headers"),
        Reply(),
    ],
)
async def test_what_passes_is_repeated_once(
    new_gemini: NewGemini, server: ProtocolServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    assert (await ask(new_gemini(max_retries=1), "Hi")).message.content == "Hello."
    first, second = server.requests
    assert first.body == second.body


async def test_what_was_streamed_in_part_is_repeated_only_by_the_run(
    new_gemini: NewGemini, server: ProtocolServer
) -> None:
    model = new_gemini(max_retries=1)
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    with pytest.raises(ModelError):
        await ask_for_a_stream(model, "Hi")
    assert len(server.requests) == 1
    server.script.append(Reply.failed("INTERNAL", "It failed.").thinking("Hm, hm."))
    assert (await ask_for_a_stream(model, "Hi")).message.content == "Hello."
    assert len(server.requests) == 3


async def test_an_answer_that_goes_on_in_further_requests_is_one_answer(
    gemini: Gemini, server: ProtocolServer, ask: Ask
) -> None:
    begun = generated(
        {"text": "Once "},
        {"functionCall": {"name": "a"}},
        reason="CONTINUATION",
        continuationToken="dG9rZW4=",
    )
    ended = generated({"text": "upon."}, {"functionCall": {"name": "b"}})
    for payload in (begun, begun, ended):
        event = json.dumps(payload)
        stream = Reply.garbage(f"data: {event}\n\n", content_type="text/event-stream")
        server.script.append(stream if ask is ask_for_a_stream else Reply.garbage(event))
    response = await ask(gemini, "Hi")
    assert response.message.text == "Once Once upon."
    assert [call.name for call in response.message.tool_calls] == ["a", "a", "b"]
    assert len({call.id for call in response.message.tool_calls}) == 3
    assert (response.metrics.total_tokens, response.metrics.model_calls) == (45, 1)
    first, *others = [request.body for request in server.requests]
    assert others == [{**first, "continuationToken": "dG9rZW4="}] * 2


async def test_an_answer_that_goes_on_and_on_is_given_up(
    gemini: Gemini, server: ProtocolServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.models.google.pieces._MOST_REQUESTS", 10)
    begun = generated({"text": "a"}, reason="CONTINUATION", continuationToken="dG9rZW4=")
    event = json.dumps(begun)
    stream = Reply.garbage(f"data: {event}\n\n", content_type="text/event-stream")
    server.default = stream if ask is ask_for_a_stream else Reply.garbage(event)
    with pytest.raises(ModelError, match="CONTINUATION") as raised:
        await ask(gemini, "Hi")
    assert (raised.value.kind, len(server.requests)) == ("incomplete", 11)


async def test_the_sdk_repeats_nothing(gemini: Gemini, server: ProtocolServer, ask: Ask) -> None:
    server.default = Reply.dropped()
    with pytest.raises(ModelError, match="cannot be reached"):
        await ask(gemini, "Hi")
    assert len(server.requests) == 1


async def test_the_sdk_says_nothing_in_the_log(
    gemini: Gemini, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await ask(gemini, "Hi")
    assert caplog.records == []


async def test_a_server_that_is_not_there(new_gemini: NewGemini, ask: Ask) -> None:
    with pytest.raises(ModelError, match="GOOGLE_GEMINI_BASE_URL") as raised:
        await ask(new_gemini(base_url="http://127.0.0.1:9"), "Hi")
    assert (raised.value.kind, raised.value.transient) == ("connection", True)


@pytest.mark.parametrize("base_url", ["nowhere", "ftp://127.0.0.1"])
async def test_an_address_that_is_none(new_gemini: NewGemini, base_url: str) -> None:
    with pytest.raises(ModelError, match="has no usable address") as raised:
        await ask_for_the_whole(new_gemini(base_url=base_url), "Hi")
    assert raised.value.kind == "invalid_request"


async def test_a_model_id_that_is_none(new_gemini: NewGemini, ask: Ask) -> None:
    request = ModelRequest([Message("user", "Hi")], settings={"model": "../x"})
    with pytest.raises(ModelError, match="cannot be called: invalid model") as raised:
        await new_gemini().respond(request)
    assert raised.value.kind == "invalid_request"


QUOTES = f"API key not valid: {KEY}."


@pytest.mark.parametrize(
    "reply",
    [Reply.http_error(400, QUOTES), Reply.failed("INTERNAL", QUOTES), Reply.garbage(QUOTES)],
)
async def test_the_key_is_in_no_error_even_if_the_server_quotes_it(
    gemini: Gemini, server: ProtocolServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    with pytest.raises(ModelError) as raised:
        await ask(gemini, "Hi")
    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("reply", [Reply.hang(), Reply.text("Once ", "upon").held(after=1)])
async def test_cancelling_the_call_closes_the_connection(
    gemini: Gemini, server: ProtocolServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    call = asyncio.ensure_future(ask(gemini, "Hi"))
    await server.wait_for_requests(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await server.wait_for_disconnects(1)
    assert (await ask(gemini, "Hi")).message.content == "Hello."


async def test_a_model_that_was_closed_may_be_asked_again(gemini: Gemini, ask: Ask) -> None:
    await ask(gemini, "Hi")
    await gemini.aclose()
    await ask(gemini, "Hi")


def test_one_model_serves_loops_one_after_another() -> None:
    with ProtocolServer() as server:
        model = Gemini(base_url=server.url, api_key=KEY)

        async def ask_twice() -> list[str]:
            whole = await ask_for_the_whole(model, "Hi")
            streamed = await ask_for_a_stream(model, "Hi")
            return [whole.message.text, streamed.message.text]

        assert [asyncio.run(ask_twice()) for _ in range(3)] == [["Hello.", "Hello."]] * 3


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: where.
    """
    return f"{city}: warm."


async def test_an_agent_calls_tools_and_hands_signatures_back(
    gemini: Gemini, server: ProtocolServer
) -> None:
    calls = [("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"})]
    server.script += [Reply.tool_calls(*calls).thinking("Hm.", "sealed"), Reply.text("Warm.")]
    agent = Agent("Tester", gemini, tools=[weather], instructions="Be brief.", db=InMemoryDb())
    run = await agent.arun("How is it?", background=True)
    ended = await agent.await_run(run.run_id)
    assert ended is not None
    assert ended.content == "Warm."
    for request in server.requests:
        check_by_the_sdk(request.body)
    _, asked, results = server.requests[1].body["contents"]
    first = next(part for part in asked["parts"] if "functionCall" in part)
    assert first["thoughtSignature"] == "c2VhbGVk"
    assert [part["functionResponse"]["response"]["output"] for part in results["parts"]] == [
        "Rome: warm.",
        "Oslo: warm.",
    ]


async def test_a_conversation_moves_between_providers(
    gemini: Gemini, model: OpenAIResponses, server: ProtocolServer
) -> None:
    db = InMemoryDb()
    server.script += [
        Reply.tool_calls(("weather", {"city": "Rome"})).thinking("Hm.", "of OpenAI"),
        Reply.text("Warm."),
        Reply.tool_calls(("weather", {"city": "Oslo"})).thinking("Hm.", "of Google"),
        Reply.text("Warm, too."),
        Reply.text("You are welcome."),
    ]
    for answerer, said in ((model, "Rome?"), (gemini, "Oslo?"), (model, "Thanks.")):
        agent = Agent("Tester", answerer, tools=[weather], db=db, add_history_to_context=True)
        await agent.arun(said, session_id="moving")
    *_, of_google, last = server.requests
    check_by_the_sdk(of_google.body)
    assert "of OpenAI" not in str(of_google.body)
    assert "skip_thought_signature_validator" in str(of_google.body)
    assert "Rome: warm." in str(of_google.body)
    assert "functionCall" not in str(last.body)
    assert "Oslo: warm." in str(last.body)
