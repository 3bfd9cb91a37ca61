"""The earlier runs of a session, as the model is shown them."""

import asyncio
import json
from itertools import pairwise

import pytest
from locally import LOCALLY

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer
from kern.testing.record import RequestRecord


def said(request: RequestRecord) -> list[str]:
    """Return the texts of the conversation in a request."""
    contents = [item["content"] for item in request.body["input"]]
    return [each if isinstance(each, str) else each[0]["text"] for each in contents]


async def test_the_model_is_shown_the_session_in_its_order(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.text(answer) for answer in ("1", "2", "3")]
    agent = Agent("Tester", model, db=db, instructions="Count.", add_history_to_context=True)
    for question in ("one", "two", "three"):
        await agent.arun(question, session_id="session-1")
    assert said(server.requests[-1]) == ["one", "1", "two", "2", "three"]
    assert [request.body["instructions"] for request in server.requests] == ["Count."] * 3


@LOCALLY
async def test_by_default_a_run_stands_alone(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    for question in ("one", "two"):
        await agent.arun(question, session_id="session-1")
    assert said(server.requests[-1]) == ["two"]


@pytest.mark.parametrize(("limit", "shown"), [(0, []), (1, ["3"]), (2, ["2", "3"])])
async def test_only_the_last_runs_are_shown(
    db: Database, model: OpenAIResponses, server: ResponsesServer, limit: int, shown: list[str]
) -> None:
    server.script += [Reply.text(answer) for answer in ("1", "2", "3", "4")]
    agent = Agent("Tester", model, db=db, add_history_to_context=True, num_history_runs=limit)
    for _ in range(4):
        await agent.arun("Next?", session_id="session-1")
    assert said(server.requests[-1])[1:-1:2] == shown


async def test_other_sessions_are_not_shown(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    await agent.arun("A secret", session_id="session-1")
    await agent.arun("Hi", session_id="session-2")
    await agent.arun("Hi")
    assert [said(request) for request in server.requests[1:]] == [["Hi"], ["Hi"]]


async def test_runs_that_failed_or_were_cancelled_are_not_shown(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.text("1"), Reply.failed(), Reply.text("no").held(after=1)]
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    await agent.arun("one", session_id="session-1")
    with pytest.raises(ModelError):
        await agent.arun("fails", session_id="session-1")
    async for event in agent.arun("cancelled", session_id="session-1", stream=True):
        await agent.acancel_run(event.run_id)
    await agent.arun("two", session_id="session-1")
    assert said(server.requests[-1]) == ["one", "1", "two"]


async def test_a_run_is_not_shown_those_that_came_after_it(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    server.script.append(Reply.hang())
    first = asyncio.create_task(agent.arun("one", session_id="session-1"))
    await server.wait_for_requests(1)
    await agent.arun("two", session_id="session-1")
    assert said(server.requests[-1]) == ["two"]
    first.cancel()
    await asyncio.wait({first})


async def test_background_and_foreground_runs_share_the_session(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    run = await agent.arun("one", session_id="session-1", background=True)
    await agent.await_run(run.run_id, timeout=20)
    await agent.arun("two", session_id="session-1")
    run = await agent.arun("three", session_id="session-1", background=True)
    await agent.await_run(run.run_id, timeout=20)
    assert said(server.requests[-1]) == ["one", "Hello.", "two", "Hello.", "three"]


async def test_agents_share_a_session(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    await Agent("Anna", model, db=db).arun("one", session_id="session-1")
    other = Agent("Berta", model, db=db, add_history_to_context=True, history_agents="all")
    await other.arun("two", session_id="session-1")
    assert said(server.requests[-1]) == ["one", "Hello.", "two"]


@LOCALLY
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_each_request_begins_with_the_bytes_of_the_one_before(
    db: Database, model: OpenAIResponses, server: ResponsesServer, stream: bool
) -> None:
    server.default = Reply.text("Hello \u0000 \ud83d").thinking("Hm", "sealed==")
    agent = Agent("Tester", model, db=db, instructions="Count.", add_history_to_context=True)
    for question in ("one \u0000", "two \ud83d", "three"):
        if stream:
            async for _ in agent.arun(question, session_id="session-1", stream=True):
                pass
        else:
            await agent.arun(question, session_id="session-1")
    bodies = [request.body for request in server.requests]
    for earlier, later in pairwise(bodies):
        length = len(earlier["input"])
        assert json.dumps(later["input"][:length]) == json.dumps(earlier["input"])
        assert [item.get("type") for item in later["input"][length:-1]] == ["reasoning", "message"]
        rest = [{name: body[name] for name in body if name != "input"} for body in (earlier, later)]
        assert json.dumps(rest[0]) == json.dumps(rest[1])
