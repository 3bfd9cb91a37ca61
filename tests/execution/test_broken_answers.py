"""An answer that breaks off in the middle: a later attempt asks again, and readers are told."""

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.testing import Reply, ResponsesServer


async def test_the_call_is_made_again_and_the_text_until_then_is_void(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.text("Par", "is is", " no").dropping(2), Reply.text("Par", "is.")]
    agent = Agent("Tester", model, db=shared_db)
    shown, voided = "", []
    stream = agent.arun("Where?", stream=True, background=True, run_id="run", max_attempts=2)
    async for event in stream:
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
