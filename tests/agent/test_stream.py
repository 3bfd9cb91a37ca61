"""A run whose caller reads its events as they come."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from leases import expire
from locally import LOCALLY_OR_NONE

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import configure, open_runtime
from kern.dispatch.settings import Settings
from kern.errors import InvalidInputError, ModelError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutputEvent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


async def test_a_stream_is_the_pieces_of_the_answer(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon ", "a time"))
    agent = Agent("Tester", model, db=any_db)
    events = [event async for event in agent.arun("Tell me.", stream=True)]
    assert [(event.event, event.content) for event in events] == [
        (RunEvent.run_content, "Once "),
        (RunEvent.run_content, "upon "),
        (RunEvent.run_content, "a time"),
        (RunEvent.run_completed, ""),
    ]


async def test_every_event_is_there_for_those_who_ask(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon"))
    agent = Agent("Tester", model, db=any_db)
    events = [
        event
        async for event in agent.arun(
            "Tell me.", stream=True, stream_events=True, run_id="run-1", session_id="session-1"
        )
    ]
    assert [(str(event.event), event.content) for event in events] == [
        ("RunStarted", None),
        ("ModelRequestStarted", None),
        ("RunContent", "Once "),
        ("RunContent", "upon"),
        ("ModelRequestCompleted", "Once upon"),
        ("RunContentCompleted", "Once upon"),
        ("RunCompleted", "Once upon"),
    ]
    for event in events:
        assert (event.run_id, event.session_id, event.agent_id) == ("run-1", "session-1", "tester")
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6, 7]
    times = [event.created_at for event in events]
    assert times == sorted(times)


@LOCALLY_OR_NONE
async def test_a_piece_comes_before_the_next_one_is_written(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Once ", "upon").held(after=1)
    server.script.append(reply)
    events = Agent("Tester", model, db=any_db).arun("Tell me.", stream=True)
    assert (await anext(events)).content == "Once "
    reply.release()
    assert [event.content async for event in events] == ["upon", ""]


async def test_what_was_streamed_is_kept_whole(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon"))
    agent = Agent("Tester", model, db=db)
    async for _ in agent.arun("Tell me.", stream=True, run_id="run-1"):
        pass
    run = await agent.aget_run_output("run-1")
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Once upon")
    assert [message.content for message in run.messages] == ["Tell me.", "Once upon"]


@LOCALLY_OR_NONE
async def test_nothing_begins_before_the_first_event_is_asked_for(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    async with aclosing(Agent("Tester", model, db=any_db).arun("Tell me.", stream=True)):
        pass
    assert server.requests == []


async def test_a_stream_that_breaks_off_raises_after_its_pieces(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon").dropping(after=1))
    agent = Agent("Tester", model, db=any_db)
    events: list[RunOutputEvent] = []

    async def read() -> None:
        async for event in agent.arun("Tell me.", stream=True, stream_events=True, run_id="run-1"):
            events.append(event)

    with pytest.raises(ModelError, match="cannot be reached") as raised:
        await read()
    assert [str(event.event) for event in events] == [
        "RunStarted",
        "ModelRequestStarted",
        "RunContent",
        "RunError",
    ]
    assert events[-1].content == str(raised.value)
    if any_db is not None:
        run = await agent.aget_run_output("run-1")
        assert run is not None
        assert (run.status, run.error) == (RunStatus.error, str(raised.value))
        assert run.content == "Once "


async def test_a_stream_of_a_cancelled_run_says_so_and_ends(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Once ", "upon").held(after=1))
    agent = Agent("Tester", model, db=any_db)
    events: list[RunOutputEvent] = []
    async for event in agent.arun("Tell me.", stream=True, run_id=f"cancelled-{id(any_db)}"):
        events.append(event)
        if event.event is RunEvent.run_content:
            assert await agent.acancel_run(event.run_id)
    assert [(str(event.event), event.content) for event in events] == [
        ("RunContent", "Once "),
        ("RunCancelled", "Once "),
    ]


@LOCALLY_OR_NONE
async def test_a_refusal_is_streamed(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.refusal("I'd rather not."))
    agent = Agent("Tester", model, db=any_db)
    pieces = [event.content or "" async for event in agent.arun("Hi", stream=True)]
    assert "".join(pieces) == "I'd rather not."


@LOCALLY_OR_NONE
async def test_only_a_streamed_run_is_streamed_from_the_provider(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=any_db)
    await agent.arun("Hi")
    async for _ in agent.arun("Hi", stream=True):
        pass
    assert [bool(request.body.get("stream")) for request in server.requests] == [False, True]


@pytest.mark.parametrize("after", ["3", 1.5, None, True], ids=repr)
async def test_what_is_no_number_of_an_event_is_refused(model: OpenAIResponses, after: Any) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    run = await agent.arun("Hi", background=True)
    await agent.await_run(run.run_id, timeout=20)
    with pytest.raises(InvalidInputError, match="after must be the number of an event, not"):
        await anext(agent.astream_run(run.run_id, after=after))
    assert [event async for event in agent.astream_run(run.run_id, after=2**70)] == []


TOLD = {"RunContent", "RunContentVoided", "RunResumed", "RunCompleted"}


@pytest.mark.parametrize("every_event", [False, True])
async def test_what_others_carry_on_is_void_and_told_anew(
    db: Database, model: OpenAIResponses, server: ResponsesServer, every_event: bool
) -> None:
    def look() -> str:
        """Look."""
        return "seen"

    server.script += [Reply.tool_calls(("look", "{}")), Reply.text("Half a", " text").held(after=1)]
    configure(db, Settings.of(heartbeat=2.0))  # In which an attempt learns that it is stale.
    agent = Agent("Tester", model, db=db, tools=[look])
    events: list[RunOutputEvent] = []
    stream = agent.arun("Tell me.", stream=True, stream_events=every_event, run_id="run")
    async with asyncio.timeout(20), aclosing(stream):
        async for event in stream:
            events.append(event)
            if event.content == "Half a":
                server.script.append(Reply.text("The whole."))
                await expire(db, "run")
                (await open_runtime(db)).serve(agent)
    told = [(str(each.event), each.content) for each in events]
    assert [each for each in told if each[0] in TOLD] == [
        ("RunContent", "Half a"),
        ("RunContentVoided", "Half a"),
        ("RunResumed", None if every_event else ""),
        ("RunContent", "The whole."),
        ("RunCompleted", "The whole." if every_event else ""),
    ]
    assert [kind for kind, _ in told].count("ToolCallStarted") == int(every_event)
    assert len(server.requests) == 3
