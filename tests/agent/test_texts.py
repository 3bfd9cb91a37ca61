"""Texts that break databases come back equal from every one of them."""

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer

TEXTS = ["a\x00b", "\ud800 alone", "half \udfff", "\U0001f600 \u2028", "\\u0000 '\"%s$1{}"]


def check(run: RunOutput | None, text: str) -> None:
    assert run is not None
    assert run.status is RunStatus.completed
    assert run.content == text + text
    own = [each for each in run.messages if each.role != "system"]
    assert own == [Message("user", text), Message("assistant", text + text)]
    assert run.metadata == {text: [text, {"deep": text}]}


async def test_unusual_characters_come_back_equal(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    for text in TEXTS:
        server.default = Reply.text(text, text)
        agent = Agent("Tester", model, db=any_db, instructions=text)
        run = await agent.arun(text, metadata={text: [text, {"deep": text}]})
        check(run, text)
        if any_db is not None:
            check(await agent.aget_run_output(run.run_id), text)


async def test_unusual_characters_come_back_equal_from_the_background(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    for text in TEXTS:
        server.default = Reply.text(text, text)
        agent = Agent("Tester", model, db=db, instructions=text)
        metadata: dict[str, object] = {text: [text, {"deep": text}]}
        run = await agent.arun(text, background=True, metadata=metadata)
        assert run.metadata == metadata
        check(await agent.await_run(run.run_id, timeout=20), text)


async def test_unusual_characters_in_a_failure_come_back_equal(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "\x00 \ud800", "Once \x00", "\udfff"))
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.error == "test-model failed: \x00 \ud800."
    assert ended.content == "Once \x00\udfff"


async def test_unusual_characters_are_streamed(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text(*TEXTS))
    agent = Agent("Tester", model, db=any_db)
    found = [event.content async for event in agent.arun("Hi", stream=True)]
    assert found == [*TEXTS, ""]


@pytest.mark.parametrize(
    "megabytes", [2, pytest.param(10, marks=[pytest.mark.nightly, pytest.mark.timeout(120)])]
)
async def test_megabytes_go_in_and_come_out(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, megabytes: int
) -> None:
    text = "0123456789" * (megabytes * 100_000)
    server.script.append(Reply.text(text))
    agent = Agent("Tester", model, db=shared_db)
    submitted = await agent.arun(text, background=True)
    run = await agent.await_run(submitted.run_id, timeout=30)
    assert run is not None
    assert (run.status, run.error) == (RunStatus.completed, None)
    assert [message.content for message in run.messages] == [text, text]
