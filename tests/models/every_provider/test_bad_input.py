"""What goes wrong at a provider ends the run with what happened and what to do, and costs once."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import TypeAlias

import pytest
from providers import PNG, NewModel, Provider

from kern import errors
from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.models.base import Model
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.message import Message
from kern.testing import ProtocolServer, Reply
from kern.testing.protocols import google

Run: TypeAlias = Callable[..., Awaitable[RunOutput]]
"""Takes a question, and the model where it is another; returns its run in the background."""

PICTURE = Message("user", (TextPart("What is it?"), ImagePart(Inline(PNG), "image/png")))


def note(word: str) -> str:
    """Note a word."""
    return f"{word} is noted"


@pytest.fixture(params=["whole", "streamed"])
def run(request: pytest.FixtureRequest, model: Model) -> Run:
    """Carry a run out in the background, read by somebody or by nobody."""

    db, numbers = InMemoryDb(), count()

    async def execute(question: str | Message = "Hi", by: Model = model) -> RunOutput:
        agent, run_id = Agent("Tester", by, db=db, tools=[note]), f"run-{next(numbers)}"
        if request.param == "streamed":
            with suppress(errors.ModelError):  # The run has it, too.
                async for _ in agent.arun(question, stream=True, background=True, run_id=run_id):
                    pass
        else:
            await agent.arun(question, background=True, run_id=run_id)
        found = await agent.await_run(run_id, timeout=20)
        assert found is not None
        return found

    return execute


def is_streamed(server: ProtocolServer) -> bool:
    """Say whether the first request was for a stream."""
    record = server.requests[0]
    return bool(record.body.get("stream")) or ":stream" in record.path


def assert_failed(run: RunOutput, said: str, content: str | None = None) -> None:
    """Make sure that a run has ended of the model, with these words (a regular expression)."""
    assert run.status is RunStatus.error, run
    assert issubclass(getattr(errors, str(run.error_kind)), errors.ModelError)
    assert run.error is not None
    assert re.fullmatch(said, run.error, re.S), run.error
    assert run.content == content
    assert "sk-test-key" not in run.error


async def test_a_key_that_is_missing(
    provider: Provider, new_model: NewModel, server: ProtocolServer, run: Run
) -> None:
    without = new_model(api_key=None)
    if provider.key is None:
        assert (await run(by=without)).content == "Hello."
        return
    ended = await run(by=without)
    assert ended.status is RunStatus.error
    assert ended.error is not None
    assert re.search(rf"no (API )?key for test-model: set .*{provider.key}", ended.error)
    assert server.requests == []


REFUSED = [
    (401, "The key sk-test-key is no good.", r"The key \*\*\* is no good\. Check .+\."),
    (403, "Not in your country.", r"Not in your country\. Check .+\."),
    (404, "There is no test-model.", r"There .+\. Check the model's id.+\."),
    (400, "tools.0: not a schema.", r"tools\.0: not a schema\."),
    (400, "The image cannot be read.", r"The image cannot be read\."),
    (413, "Too large.", r"Too large\. Show it less .+ or give media by their URLs\."),
]


async def test_what_the_provider_refuses_is_told_with_a_remedy_and_asked_for_once(
    server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    model = new_model(max_retries=3)
    for number, (status, message, said) in enumerate(REFUSED, 1):
        server.default = Reply.http_error(status, message)
        ended = await run(PICTURE, by=model)
        assert_failed(ended, rf"test-model answered {status}: {said}")
        assert len(server.requests) == number
        assert ended.metrics.model_calls == 0


async def test_a_context_that_is_too_long(
    provider: Provider, server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    server.default = provider.says_too_long
    ended = await run(by=new_model(max_retries=3))
    remedy = "(Show it less of the history|Shorten the conversation), or take a model that .+"
    message = re.escape(provider.too_long[0].rstrip("."))
    assert_failed(ended, rf"test-model answered 400: {message}\. {remedy}\.")
    assert len(server.requests) == 1


async def test_a_connection_that_breaks_within_the_arguments_of_a_call(
    provider: Provider, server: ProtocolServer, run: Run
) -> None:
    server.default = Reply.text("Well.").calling(("note", {"word": "a"})).dropping(after=2)
    ended = await run()
    content = "Well." if is_streamed(server) else None
    assert_failed(ended, r"(The server of test-model|test-model) .+", content)
    assert ended.tools == []
    assert len(server.requests) == 1


async def test_it_is_asked_again_if_nobody_has_been_told_anything_by_then(
    server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    server.script.append(Reply.text("Hello.").dropping(after=0))
    server.script.append(Reply.dropped())
    server.script.append(Reply.dropped("headers"))
    assert (await run(by=new_model(max_retries=3))).content == "Hello."
    assert len(server.requests) == 4


async def test_arguments_that_are_no_json(
    provider: Provider, server: ProtocolServer, run: Run
) -> None:
    server.script += [Reply.tool_calls(("note", '{"word": "a')), Reply.text("Sorry.")]
    ended = await run()
    if provider.protocol is google:  # The API looks at them, and says so.
        assert_failed(ended, r"test-model broke off its answer: MALFORMED_FUNCTION_CALL .+")
        assert len(server.requests) == 1
        return
    assert (ended.status, ended.content) == (RunStatus.completed, "Sorry.")
    [called] = ended.tools
    assert called.tool_call_error
    assert "JSON" in str(called.result)
    told = provider.protocol.messages_of(server.requests[1].body)
    assert ("tool", called.result) in told
    assert len(server.requests) == 2


async def test_an_answer_that_is_empty_is_asked_for_again(
    server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    server.script += [Reply(), Reply.text("Hello.")]
    assert (await run(by=new_model(max_retries=1))).content == "Hello."
    server.script += [Reply(), Reply()]
    ended = await run(by=new_model(max_retries=1))
    assert_failed(ended, "test-model gave (an empty|no) answer.*", ended.content)
    assert not ended.content
    assert len(server.requests) == 4


async def test_usage_that_is_missing(server: ProtocolServer, run: Run) -> None:
    server.default = Reply.text("Hello.").counting(None)
    ended = await run()
    assert (ended.status, ended.content) == (RunStatus.completed, "Hello.")
    assert (ended.metrics.total_tokens, ended.metrics.model_calls) == (0, 1)


async def test_an_error_in_an_answer_of_200(
    provider: Provider, server: ProtocolServer, run: Run
) -> None:
    server.default = Reply.failed("odd_error", "Oh no.", "Once ", "upon")
    ended = await run()
    kept = is_streamed(server) or provider.kind is OpenAIResponses
    assert_failed(ended, r"test-model failed: Oh no\.?", "Once upon" if kept else ended.content)
    assert len(server.requests) == 1


async def test_an_answer_of_200_that_is_none(server: ProtocolServer, run: Run) -> None:
    for number, body in enumerate(("<html>", "{}", "[]", "null", "", '{"odd": 1}'), 1):
        server.default = Reply.garbage(body)
        ended = await run()
        assert_failed(ended, "test-model .+", ended.content)
        assert not ended.content
        assert len(server.requests) == number


async def test_a_stream_that_is_no_json(server: ProtocolServer, run: Run) -> None:
    events = "event: message_start\ndata: {odd\n\ndata: {odd\n\n"
    server.default = Reply.garbage(events, content_type="text/event-stream")
    ended = await run()
    assert_failed(
        ended, "test-model (answered with something that is no JSON|ended its answer before .+)\\."
    )
    assert len(server.requests) == 1


async def test_a_limit_of_requests_is_waited_for_as_the_provider_asks(
    server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    # Longer than the pause that is made without a word.
    limited = Reply.http_error(429, "Slow down.", headers={"retry-after-ms": "100"})
    server.script += [limited, Reply.text("Hello.")]
    ended = await run(by=new_model(max_retries=2))
    assert ended.content == "Hello."
    assert ended.metrics.model_calls == 1
    first, second = server.requests
    assert second.arrived - first.arrived >= 0.1
    assert first.body == second.body


async def test_a_limit_that_lasts_is_told_at_once(
    server: ProtocolServer, new_model: NewModel, run: Run
) -> None:
    model = new_model(max_retries=2)
    for number, asked in enumerate(("3600", "Wed, 21 Oct 2099 07:28:00 GMT"), 1):
        server.default = Reply.http_error(429, "Slow down.", headers={"retry-after": asked})
        ended = await run(by=model)
        assert_failed(ended, r"test-model answered 429: Slow down\. Wait, or ask .+ higher limit\.")
        assert len(server.requests) == number


async def test_what_passes_is_asked_again_with_no_word_of_when(
    server: ProtocolServer, new_model: NewModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.models.retries._FIRST", 0.001)
    passing = (408, 429, 500, 502, 503, 504, 529)
    server.script += [Reply.http_error(status, "Not now.") for status in passing]
    ended = await run(by=new_model(max_retries=len(passing)))
    assert (ended.content, ended.metrics.model_calls) == ("Hello.", 1)
    assert len(server.requests) == len(passing) + 1
