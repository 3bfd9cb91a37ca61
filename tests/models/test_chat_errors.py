"""Failures of a server of Chat Completions, by kind, and what is done about them."""

import time

import pytest
from asking import Ask, NewModel, pieces_and_whole

from kern.errors import ModelError
from kern.models.base import Model
from kern.testing import Reply, ResponsesServer


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "transient"),
    [
        (400, None, "Bad.", "invalid_request", False),
        (400, "context_length_exceeded", "Too long.", "context_length", False),
        (400, None, "This model's maximum context length is 4096.", "context_length", False),
        (400, "exceed_context_size_error", "Too long.", "context_length", False),
        (400, "content_filter", "Filtered.", "content_filter", False),
        (401, "invalid_api_key", "No.", "authentication", False),
        (403, None, "No.", "authentication", False),
        (404, "model_not_found", "No such model.", "not_found", False),
        (429, "rate_limit_exceeded", "Slow down.", "rate_limit", True),
        (429, "insufficient_quota", "Pay.", "rate_limit", False),
        (500, None, "Oh.", "server", True),
        (503, "overloaded", "Busy.", "overloaded", True),
    ],
)
async def test_a_failure_has_its_kind(
    chat: Model,
    server: ResponsesServer,
    ask: Ask,
    status: int,
    code: str | None,
    message: str,
    kind: str,
    transient: bool,
) -> None:
    server.script.append(Reply.http_error(status, message, code=code))
    with pytest.raises(ModelError, match=rf"test-model answered {status}: .*{message}") as raised:
        await ask(chat, "Hi")
    error = raised.value
    assert (error.kind, error.transient, error.status_code) == (kind, transient, status)
    assert (error.model_name, error.model_id) == ("OpenAIChat", "test-model")
    assert error.message == str(error)


async def test_a_failure_that_passes_is_repeated_when_the_server_says(
    new_model: NewModel, server: ResponsesServer, ask: Ask
) -> None:
    server.script.append(Reply.http_error(429, headers={"retry-after-ms": "200"}))
    began = time.monotonic()
    assert (await ask(new_model(retries=1), "Hi")).message.text == "Hello."
    assert time.monotonic() - began >= 0.2
    assert len(server.requests) == 2


async def test_what_was_handed_out_in_part_is_not_repeated_here(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Hel", "lo").dropping(after=1))
    with pytest.raises(ModelError) as raised:
        await pieces_and_whole(new_model(max_retries=3), "Hi")
    assert (raised.value.content, len(server.requests)) == ("Hel", 1)
