"""An answer that breaks off in the middle: the call is made again, and readers are told."""

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutputEvent
from kern.testing import ResponsesServer
from kern.testing.responses import Reply


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
async def test_the_call_is_made_again_and_the_text_until_then_is_void(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, background: bool
) -> None:
    server.script += [Reply.text("Par", "is is", " no").dropping(2), Reply.text("Par", "is.")]
    agent = Agent("Tester", model, db=shared_db)
    shown, voided = "", []
    async for event in agent.arun("Where?", stream=True, background=background, run_id="run"):
        match event.event:
            case RunEvent.run_content:
                shown += event.content or ""
            case RunEvent.run_content_voided:
                voided.append(event.content)
                shown = shown.removesuffix(event.content or "")
    assert shown == "Paris."
    assert voided == ["Paris is"]
    assert len(server.requests) == 2
    again = [event async for event in agent.astream_run("run")]
    assert [event.seq for event in again] == list(range(1, len(again) + 1))
    assert [event.content for event in again if event.event is RunEvent.run_content_voided] == (
        voided
    )


async def test_it_is_made_again_only_so_often(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.default = Reply.text("Par", "is").dropping(1)
    events: list[RunOutputEvent] = []

    async def read() -> None:
        async for event in Agent("Tester", model).arun("Where?", stream=True):
            events.append(event)

    with pytest.raises(ModelError):
        await read()
    assert len(server.requests) == 3
    assert [event.event for event in events] == [
        *[RunEvent.run_content, RunEvent.run_content_voided] * 2,
        RunEvent.run_content,
        RunEvent.run_error,
    ]
