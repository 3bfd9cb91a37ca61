"""A model's time limit bounds one try of a call as a whole, however its answer comes."""

import time

import pytest
from asking import Ask, NewModel, pieces_and_whole

from kern.errors import ConfigurationError, ModelError
from kern.testing import Reply, ResponsesServer

LIMIT = 0.3

# Within which a slow machine has noticed, too.
LONG = 20.0

# Any of these would take much longer than a test may.
TRICKLES = {
    "body": Reply.text(*"Hello.").trickling(0.05),
    "error": Reply.http_error(400, "No. " * 100).trickling(0.05),
    "error head": Reply.http_error(500).trickling(0.05, "head"),
    "redirect": Reply.http_error(307, headers={"location": "/v1/responses"}).slow(0.1),
}


@pytest.mark.parametrize("name", TRICKLES)
async def test_an_answer_that_trickles_is_given_up_at_the_limit(
    new_model: NewModel, server: ResponsesServer, ask: Ask, name: str
) -> None:
    server.default = TRICKLES[name]
    model = new_model(timeout=LIMIT)
    await model.prepare()
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer within 0\.3 s") as raised:
        await ask(model, "Hi")
    assert (raised.value.kind, raised.value.transient) == ("timeout", True)
    assert LIMIT <= time.monotonic() - began < LONG


async def test_a_stream_of_comments_is_given_up_at_the_limit(
    new_model: NewModel, server: ResponsesServer
) -> None:
    comments = Reply.garbage(": wait\n\n" * 1000, content_type="text/event-stream")
    server.script.append(comments.trickling(0.01))
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"within 0\.3 s"):
        await pieces_and_whole(new_model(timeout=LIMIT), "Hi")
    assert time.monotonic() - began < LONG


async def test_a_stream_that_is_given_up_keeps_its_text(
    new_model: NewModel, server: ResponsesServer
) -> None:
    server.default = Reply.text(*"Hello, world.").slow(pause=0.1)
    model, content = new_model(timeout=LIMIT), ""
    await model.prepare()
    while not content:  # It may be given up before any has come, on a slow machine.
        with pytest.raises(ModelError) as raised:
            await pieces_and_whole(model, "Hi")
        content = raised.value.content or ""
    assert "Hello, world.".startswith(content)
    await server.wait_for_disconnects(1)


async def test_without_a_limit_an_answer_may_take_any_time(new_model: NewModel, ask: Ask) -> None:
    assert (await ask(new_model(timeout=None), "Hi")).message.text == "Hello."


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True], ids=repr)
def test_what_is_no_limit_is_refused(new_model: NewModel, seconds: object) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds above 0"):
        new_model(timeout=seconds)


@pytest.mark.parametrize("retries", [-1, 1.5, None, "4"], ids=repr)
def test_what_is_no_number_of_repetitions_is_refused(new_model: NewModel, retries: object) -> None:
    with pytest.raises(ConfigurationError, match="max_retries must be a whole number from 0 on"):
        new_model(max_retries=retries)
