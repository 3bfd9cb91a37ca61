"""What goes wrong with the model: the run ends in ERROR and says why, and nothing is lost."""

import logging

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

FAILURES = [
    (Reply.http_error(401, "It is wrong"), "test-model answered 401: It is wrong. Check"),
    (Reply.http_error(404, "None such"), "test-model answered 404: None such. Check the"),
    (Reply.http_error(500, "It broke"), "test-model answered 500: It broke."),
    (Reply.failed("server_error", "It broke"), "test-model failed: It broke"),
    (Reply.incomplete("Once"), "broke off its answer: max_output_tokens. Raise"),
    (Reply.garbage(), "test-model answered with something that is no JSON."),
    (Reply.garbage("[7]"), "test-model answered with something that is no response."),
    (Reply.garbage('{"output": [7]}'), "answered with something that is no response."),
    (Reply.dropped(), "The server of test-model cannot be reached"),
]


async def submit_and_wait(agent: Agent, run_id: str | None = None) -> RunOutput:
    run = await agent.arun("Hi", background=True, run_id=run_id, metadata={"a": 1})
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    return ended


async def test_a_background_run_ends_in_error_and_says_why(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    for reply, error in FAILURES:
        server.script.append(reply)
        run = await submit_and_wait(agent)
        assert run.status is RunStatus.error
        assert error in (run.error or "")
        assert run.metadata == {"a": 1}
        assert run.messages == [Message("user", "Hi")]
        assert await agent.aget_run_output(run.run_id) == run
    assert len(server.requests) == len(FAILURES)
    assert (await submit_and_wait(agent)).status is RunStatus.completed


async def test_an_answer_with_a_number_that_json_has_not_is_kept_without_it(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    text = '{"type": "message", "content": [{"type": "output_text", "text": "Hello."}]}'
    server.script.append(Reply.garbage(f'{{"output": [{{"type": "odd", "n": NaN}}, {text}]}}'))
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    run = await submit_and_wait(agent)
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")
    assert run.messages[-1].provider_items[0] == {"type": "odd", "n": None}


async def test_what_there_was_of_the_answer_is_kept(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "It broke", "Once ", "upon"))
    assert (await submit_and_wait(Agent("Tester", model, db=db))).content == "Once upon"


async def test_without_a_key_a_background_run_says_what_to_set(
    db: Database, server: ResponsesServer
) -> None:
    model = OpenAIResponses("test-model", base_url=server.base_url)
    run = await submit_and_wait(Agent("Tester", model, db=db))
    assert run.status is RunStatus.error
    assert run.error is not None
    assert run.error.startswith(
        "There is no API key for test-model: set OPENAI_API_KEY, or pass api_key."
    )
    assert server.requests == []


async def test_without_a_key_a_caller_who_waits_is_told_and_the_run_is_kept(
    any_db: Database | None, server: ResponsesServer
) -> None:
    model = OpenAIResponses("test-model", base_url=server.base_url)
    agent = Agent("Tester", model, db=any_db)
    with pytest.raises(ModelError, match="set OPENAI_API_KEY, or pass api_key") as raised:
        await agent.arun("Hi", run_id="run-1")
    if any_db is not None:
        run = await agent.aget_run_output("run-1")
        assert run is not None
        assert (run.status, run.error) == (RunStatus.error, str(raised.value))


async def test_the_key_is_in_no_error_and_no_log(
    db: Database, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-proj-very-secret-0123456789"
    server.script.append(Reply.http_error(401, f"Incorrect API key provided: {key}"))
    model = OpenAIResponses("test-model", base_url=server.base_url, api_key=key, max_retries=0)
    with caplog.at_level(logging.DEBUG):
        run = await submit_and_wait(Agent("Tester", model, db=db))
    assert "Incorrect API key provided: ***" in (run.error or "")
    assert key not in run.to_json()
    assert key not in caplog.text


async def test_an_answer_that_is_a_refusal_completes_its_run_and_is_logged(
    model: OpenAIResponses, server: ResponsesServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script.append(Reply.refusal("I won't."))
    output = await Agent("Tester", model).arun("Hi")
    assert (output.status, output.content) == (RunStatus.completed, "I won't.")
    assert output.messages[-1].refusal
    [warned] = [each for each in caplog.records if hasattr(each, "finish_reason")]
    assert (warned.levelname, warned.finish_reason) == ("WARNING", "refusal")
    assert "test-model ended its answer" in warned.message
