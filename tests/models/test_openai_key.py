"""Where the key and the server come from, and that the key goes nowhere else."""

import logging
import traceback

import pytest
from asking import Ask, NewModel

from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer

KEY = "sk-proj-very-secret-0123456789"


async def test_the_key_and_the_server_come_from_the_environment(
    new_model: NewModel, server: ResponsesServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    await ask(new_model(api_key=None, base_url=None), "Hi")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_arguments_go_before_the_environment(
    new_model: NewModel, server: ResponsesServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    await ask(new_model(api_key=KEY), "Hi")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_missing_key_is_told_with_its_remedy_and_may_come_later(
    new_model: NewModel,
    server: ResponsesServer,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    nothing: str | None,
) -> None:
    if nothing is not None:
        monkeypatch.setenv("OPENAI_API_KEY", nothing)
    model = new_model(api_key=nothing)
    with pytest.raises(ModelError, match="set OPENAI_API_KEY, or pass api_key"):
        await ask(model, "Hi")
    assert server.requests == []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert (await ask(model, "Hi")).message.content == "Hello."


QUOTES = f"Incorrect API key provided: {KEY}."


@pytest.mark.parametrize(
    "reply",
    [
        Reply.http_error(401, QUOTES),
        Reply.http_error(500, QUOTES),
        Reply.failed("server_error", QUOTES),
        Reply.garbage(QUOTES),
        Reply.garbage(
            f'data: {{"type": "error", "message": "{QUOTES}"}}\n\n',
            content_type="text/event-stream",
        ),
        Reply.garbage(
            f'data: {{"error": {{"message": "{QUOTES}"}}}}\n\n', content_type="text/event-stream"
        ),
    ],
)
async def test_the_key_is_in_no_error_even_if_the_server_quotes_it(
    new_model: NewModel, server: ResponsesServer, ask: Ask, reply: Reply
) -> None:
    server.script.append(reply)
    with pytest.raises(ModelError) as raised:
        await ask(new_model(api_key=KEY), "Hi")
    assert KEY not in "".join(traceback.format_exception(raised.value))
    assert KEY not in repr(raised.value)


async def test_the_key_of_the_environment_is_in_no_error_either(
    new_model: NewModel, server: ResponsesServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script.append(Reply.http_error(401, QUOTES))
    with pytest.raises(ModelError) as raised:
        await ask(new_model(api_key=None), "Hi")
    assert KEY not in "".join(traceback.format_exception(raised.value))


async def test_a_stand_in_for_a_key_is_not_cut_out_of_words(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.http_error(404, "There is no test-model."))
    with pytest.raises(ModelError, match="test-model answered 404: There is no test-model"):
        await ask(new_model(api_key="test"), "Hi")


async def test_the_key_is_in_no_log_and_no_repr(
    new_model: NewModel, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    model = new_model(api_key=KEY)
    with caplog.at_level(logging.DEBUG):
        await ask(model, "Hi")
    assert KEY not in caplog.text
    assert KEY not in repr(model)


def test_nothing_is_opened_before_the_first_call() -> None:
    assert repr(OpenAIResponses("gpt-5-mini")) == "OpenAIResponses('gpt-5-mini')"
