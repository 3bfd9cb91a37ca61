"""Texts that break databases come back equal from every one of them."""

import pytest

from kern.agent import Agent
from kern.db.base import Database
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

TEXTS = ["a\x00b", "\ud800 alone", "half \udfff", "\U0001f600 \u2028", "\\u0000 '\"%s$1{}"]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("background", [False, True])
async def test_unusual_characters_come_back_equal(
    any_db: Database | None,
    model: OpenAIResponses,
    server: ResponsesServer,
    text: str,
    background: bool,
) -> None:
    if background and any_db is None:
        pytest.skip("a background run needs a database")
    server.script.append(Reply.text(text, text))
    agent = Agent("Tester", model, db=any_db, instructions=text)
    run = (
        await agent.arun(text, background=background, metadata={text: [text, {"deep": text}]})
        if background
        else await agent.arun(text, metadata={text: [text, {"deep": text}]})
    )
    ended = await agent.await_run(run.run_id, timeout=10) if any_db is not None else run
    assert ended is not None
    assert ended.status is RunStatus.completed
    assert ended.content == text + text
    assert ended.messages == [Message("user", text), Message("assistant", text + text)]
    assert ended.metadata == {text: [text, {"deep": text}]}


async def test_unusual_characters_in_a_failure_come_back_equal(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "\x00 \ud800", "Once \x00", "\udfff"))
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", background=True)
    ended = await agent.await_run(run.run_id, timeout=10)
    assert ended is not None
    assert ended.error == "test-model failed: \x00 \ud800"
    assert ended.content == "Once \x00\udfff"


async def test_unusual_characters_are_streamed(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text(*TEXTS))
    agent = Agent("Tester", model, db=any_db)
    assert [event.content async for event in agent.arun("Hi", stream=True)] == TEXTS


async def test_10_megabytes_go_in_and_come_out(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    text = "0123456789" * 1_000_000
    server.script.append(Reply.text(text))
    agent = Agent("Tester", model, db=any_db)
    if any_db is None:
        run = await agent.arun(text)
    else:
        submitted = await agent.arun(text, background=True)
        ended = await agent.await_run(submitted.run_id, timeout=30)
        assert ended is not None
        run = ended
    assert run.status is RunStatus.completed
    assert run.content == text
    assert [message.content for message in run.messages] == [text, text]
