"""Calls of Claude that fail, and what is said, repeated and closed then."""

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest
from asking import Ask, ask_for_a_stream, ask_for_the_whole, pieces_and_whole
from claude_says import NewClaude, events_of, message, says, stream_of
from ports import free_port

from kern import Agent
from kern.errors import ConfigurationError, MissingExtraError, MissingKeyError, ModelError
from kern.models.anthropic import Claude
from kern.models.base import ModelRequest, Text
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply

ERROR: dict[str, object] = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Too much."},
}
CALL: dict[str, object] = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"b": 1}}


async def _failure(claude: Claude, ask: Ask) -> ModelError:
    with pytest.raises(ModelError) as raised:
        await ask(claude, "Hi")
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "kind", "transient", "remedy"),
    [
        (400, None, "invalid_request", False, ""),
        (401, None, "authentication", False, " Check ANTHROPIC_API_KEY."),
        (402, None, "rate_limit", False, ""),
        (403, None, "authentication", False, " Check ANTHROPIC_API_KEY, and what it may do."),
        (404, None, "not_found", False, " Check the model's id and ANTHROPIC_BASE_URL."),
        (413, None, "invalid_request", False, " Show it less of the history, or give media by"),
        (429, None, "rate_limit", True, " Wait, or ask the provider for a higher limit."),
        (429, "enforced_spend_limit_reached", "rate_limit", False, " Wait, or ask the provider"),
        (500, None, "server", True, ""),
        (504, None, "timeout", True, ""),
        (529, None, "overloaded", True, ""),
    ],
)
async def test_an_http_error_is_told_with_its_remedy(
    claude: Claude,
    server: ProtocolServer,
    ask: Ask,
    status: int,
    code: str | None,
    kind: str,
    transient: bool,
    remedy: str,
) -> None:
    server.script.append(Reply.http_error(status, "It is so.", code=code))
    error = await _failure(claude, ask)
    assert (error.status_code, error.kind, error.transient) == (status, kind, transient)
    assert str(error).startswith(f"claude-test answered {status}: It is so.{remedy}")


@pytest.mark.parametrize(
    "said",
    [
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
    ],
)
async def test_a_context_that_is_too_long_is_told_apart(
    claude: Claude, server: ProtocolServer, ask: Ask, said: str
) -> None:
    server.script.append(Reply.http_error(400, said))
    error = await _failure(claude, ask)
    assert error.kind == "context_length"
    assert "Show it less of the history, or take a model that reads more." in str(error)


async def test_the_key_is_not_quoted(new_claude: NewClaude, server: ProtocolServer) -> None:
    server.script += [Reply.http_error(401, "Wrong: sk-ant-secret.")] * 2
    for options in ({"api_key": "sk-ant-secret"}, {"api_key": None, "auth_token": "sk-ant-secret"}):
        error = await _failure(new_claude(**options), ask_for_the_whole)
        assert "sk-ant" not in str(error)
        assert "Wrong: ***." in str(error)


async def test_an_error_within_http_200(claude: Claude, server: ProtocolServer) -> None:
    server.script.append(Reply.garbage(json.dumps(ERROR)))
    error = await _failure(claude, ask_for_the_whole)
    assert (str(error), error.kind, error.transient) == (
        "claude-test failed: Too much.",
        "overloaded",
        True,
    )


async def test_an_error_within_a_stream_keeps_the_text(
    claude: Claude, server: ProtocolServer
) -> None:
    begin = [*events_of(message({"type": "text", "text": "Once"}))][:5]
    server.script.append(stream_of([*begin, ERROR]))
    error = await _failure(claude, ask_for_a_stream)
    assert (error.kind, error.transient, error.content) == ("overloaded", True, "Once")


@pytest.mark.parametrize("body", ["", "<html>", "{", b"\xff\xfe", "[1]", "{}", '{"content": [1]}'])
async def test_an_answer_that_is_no_message(
    claude: Claude, server: ProtocolServer, body: str | bytes
) -> None:
    server.script.append(Reply.garbage(body))
    error = await _failure(claude, ask_for_the_whole)
    assert error.kind == "malformed"
    assert "answered with something that is no" in str(error)


async def test_a_stream_of_odd_events(claude: Claude, server: ProtocolServer) -> None:
    events = [*events_of(message({"type": "text", "text": "Hello"}))]
    odd: list[dict[str, object]] = [
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": 5},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
        {"type": "content_block_start", "index": 9, "content_block": None},
        {"type": "message_delta", "delta": None, "usage": []},
        {"type": "of_the_future"},
    ]
    server.script.append(stream_of([*events[:3], *odd, *events[3:]]))
    assert (await ask_for_a_stream(claude, "Hi")).message.text == "Hello"


@pytest.mark.parametrize("count", [0, 3, 5, 8])
async def test_a_stream_that_breaks_off_is_a_lost_connection(
    claude: Claude, server: ProtocolServer, count: int
) -> None:
    events = [*events_of(message({"type": "text", "text": "Once"}, CALL))]
    server.script.append(stream_of(events[:count]))
    error = await _failure(claude, ask_for_a_stream)
    assert (error.kind, error.transient) == ("connection", True)
    assert error.content == ("Once" if count > 4 else "")


async def test_a_connection_that_is_dropped_within_arguments(
    claude: Claude, server: ProtocolServer
) -> None:
    server.script.append(Reply.tool_calls(("add", {"a": 1})).dropping(after=1))
    error = await _failure(claude, ask_for_a_stream)
    assert (error.kind, error.transient) == ("connection", True)


@pytest.mark.parametrize("within", ["connection", "headers"])
async def test_a_connection_that_is_dropped_before_the_answer(
    claude: Claude, server: ProtocolServer, ask: Ask, within: str
) -> None:
    server.script.append(Reply.dropped(within))  # type: ignore[arg-type]
    error = await _failure(claude, ask)
    assert error.kind in ("connection", "malformed")


async def test_a_server_that_does_not_answer(new_claude: NewClaude, ask: Ask) -> None:
    error = await _failure(new_claude(base_url=f"http://127.0.0.1:{free_port()}"), ask)
    assert (error.kind, error.transient) == ("connection", True)
    assert "Check the network and ANTHROPIC_BASE_URL." in str(error)


async def test_a_failure_that_may_pass_is_repeated(
    new_claude: NewClaude, server: ProtocolServer, ask: Ask
) -> None:
    soon = {"retry-after-ms": "1"}
    server.script += [
        Reply.http_error(529, headers=soon),
        Reply.http_error(429, headers=soon),
        Reply.text("Hello."),
    ]
    assert (await ask(new_claude(max_retries=2), "Hi")).message.text == "Hello."
    assert len(server.requests) == 3


async def test_the_sdk_repeats_nothing(claude: Claude, server: ProtocolServer, ask: Ask) -> None:
    server.script.append(Reply.http_error(500, headers={"x-should-retry": "true"}))
    error = await _failure(claude, ask)
    assert error.transient
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "pause"), [({"retry-after": "300"}, 300.0), ({"retry-after-ms": "1500"}, 1.5)]
)
async def test_the_pause_that_is_asked_for(
    new_claude: NewClaude, server: ProtocolServer, header: dict[str, str], pause: float
) -> None:
    server.script.append(Reply.http_error(429, headers=header))
    retries = 4 if pause > 120 else 0
    error = await _failure(new_claude(max_retries=retries), ask_for_the_whole)
    assert error.retry_after == pause
    assert len(server.requests) == 1


async def test_what_was_handed_out_is_not_repeated(
    new_claude: NewClaude, server: ProtocolServer
) -> None:
    events = [*events_of(message({"type": "text", "text": "Once"}))]
    server.script.append(stream_of(events[:4]))
    async with aclosing(
        new_claude(max_retries=3).stream(ModelRequest([Message("user", "Hi")]))
    ) as answer:
        assert await anext(answer) == Text("On")
        with pytest.raises(ModelError):
            await anext(answer)
    assert len(server.requests) == 1


async def test_thinking_that_was_shown_may_be_repeated(
    new_claude: NewClaude, server: ProtocolServer
) -> None:
    thinking: dict[str, object] = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    server.script += [
        stream_of([*events_of(message(thinking))][:4]),
        says({"type": "text", "text": "Hello."}),
    ]
    pieces, answer = await pieces_and_whole(new_claude(max_retries=1), "Hi")
    assert ("".join(pieces), answer.message.content) == ("Hello.", "Hello.")


async def test_a_cancel_closes_the_connection(
    claude: Claude, server: ProtocolServer, ask: Ask
) -> None:
    server.script.append(Reply.text("Hel", "lo.").held(after=1))
    call = asyncio.ensure_future(ask(claude, "Hi"))
    await server.wait_for_requests(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await server.wait_for_disconnects(1)


async def test_a_key_is_needed(
    server: ProtocolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Ask
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # The SDK looks for a profile there.
    with pytest.raises(MissingKeyError, match="set ANTHROPIC_API_KEY"):
        await ask(Claude("claude-test", base_url=server.url), "Hi")


async def test_a_profile_that_is_missing(
    server: ProtocolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    with pytest.raises(MissingKeyError, match=r"no API key for claude-test: .*work"):
        await Claude("claude-test", base_url=server.url).prepare()


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_key_and_server_come_from_the_environment(
    server: ProtocolServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "sk-ant-set")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    async with Claude("claude-test") as claude:
        assert (await ask_for_the_whole(claude, "Hi")).message.text == "Hello."
        assert claude.origin == f"Anthropic 127.0.0.1:{server.port} claude-test"
    assert "sk-ant-set" in str(server.requests[0].headers)


async def test_what_is_sent_with_each_call(new_claude: NewClaude, server: ProtocolServer) -> None:
    claude = new_claude(
        betas=["files-api-2025-04-14"],
        default_headers={"X-Team": "blue"},
        thinking={"type": "adaptive"},
        temperature=1.0,
        top_k=5,
        stop_sequences=["END"],
        request_params={"metadata": {"user_id": "u"}, "extra_query": {"a": "b"}},
    )
    await ask_for_the_whole(claude, "Hi")
    [request] = server.requests
    assert request.body == {
        "model": "claude-test",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "thinking": {"type": "adaptive"},
        "temperature": 1.0,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }
    assert request.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert request.headers["anthropic-version"]
    assert request.headers["x-team"] == "blue"
    assert request.path == "/v1/messages"
    assert request.query == {"a": "b"}


async def test_an_answer_that_may_take_long_is_streamed_though_nobody_reads_it(
    new_claude: NewClaude, server: ProtocolServer
) -> None:
    claude = new_claude(max_tokens=64_000, max_retries=1)
    server.script.append(Reply.text("Hel", "lo.").dropping(after=1))
    assert (await ask_for_the_whole(claude, "Hi")).message.text == "Hello."
    assert [request.body.get("stream") for request in server.requests] == [True, True]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"auth_token": "x"}, "an api_key or an auth_token, not both"),
        ({"client_params": {"max_retries": 3}}, "cannot hold max_retries"),
        ({"request_params": {"max_tokens": 3}}, "cannot hold max_tokens"),
    ],
)
def test_options_that_contradict_each_other(
    new_claude: NewClaude, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        new_claude(**options)


@pytest.mark.parametrize(
    "options", [{"client_params": {"odd": 1}}, {"base_url": "http://127.0.0.1:port"}]
)
async def test_a_client_that_cannot_be_made(
    new_claude: NewClaude, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError, match="claude-test cannot be asked"):
        await new_claude(**options).prepare()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ftp://127.0.0.1"])
async def test_an_address_that_is_none(new_claude: NewClaude, ask: Ask, address: str) -> None:
    error = await _failure(new_claude(base_url=address), ask)
    assert error.kind == "invalid_request"
    assert "Check base_url and ANTHROPIC_BASE_URL." in str(error)


def test_the_sdk_is_loaded_at_the_first_call() -> None:
    code = "import sys, kern.models.anthropic; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


async def test_an_extra_that_is_missing_is_named(
    claude: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kern-agents\[anthropic\]'"):
        await claude.prepare()


async def test_what_synchronous_code_has_opened_is_closed_with_the_model(
    claude: Claude, server: ProtocolServer
) -> None:
    def synchronous() -> None:
        with claude:
            assert Agent("Tester", claude).run("Hi").content == "Hello."

    await asyncio.to_thread(synchronous)
    async with asyncio.timeout(10):
        while server.connections:  # noqa: ASYNC110 # the server tells nobody of idle ones
            await asyncio.sleep(0.01)
    await ask_for_the_whole(claude, "Hi")  # It opens others.
