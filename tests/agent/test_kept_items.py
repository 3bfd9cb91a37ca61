"""What the API sent comes back to it: in later turns, runs and attempts, and to nobody else."""

from typing import Any

import pytest
from asking import as_answer
from locally import LOCALLY

from kern import tool
from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Four.", "annotations": [], "logprobs": []}],
}


def add(a: int) -> int:
    """Add."""
    return a + 1


def sent(server: ResponsesServer) -> Any:
    """Return what the last request told the model."""
    return server.requests[-1].body["input"]


@pytest.mark.parametrize("way", ["whole", "streamed", "background"])
async def test_items_come_back_in_the_history_of_the_session(
    db: Database, model: OpenAIResponses, server: ResponsesServer, way: str
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    server.script.append(Reply.output(REASONING, SAID))
    match way:
        case "whole":
            await agent.arun("2 + 2?", session_id="session")
        case "streamed":
            async for _ in agent.arun("2 + 2?", session_id="session", stream=True):
                pass
        case _:
            run = await agent.arun("2 + 2?", session_id="session", background=True)
            await agent.await_run(run.run_id, timeout=20)
    await agent.arun("Sure?", session_id="session")
    assert sent(server)[1:3] == [REASONING, SAID]


@LOCALLY
@pytest.mark.parametrize("change", ["model", "server"])
async def test_another_model_or_server_gets_the_text_of_the_history(
    db: Database, model: OpenAIResponses, server: ResponsesServer, change: str
) -> None:
    server.script.append(Reply.output(REASONING, SAID))
    await Agent("Tester", model, db=db).arun("2 + 2?", session_id="session")
    async with ResponsesServer() as elsewhere:
        asked = elsewhere if change == "server" else server
        other = OpenAIResponses(
            "another-model" if change == "model" else "test-model",
            base_url=asked.base_url,
            api_key="sk-test",
        )
        agent = Agent("Tester", other, db=db, add_history_to_context=True)
        await agent.arun("Sure?", session_id="session")
        assert sent(asked)[1] == as_answer("Four.")
        await other.aclose()


async def test_items_come_back_in_a_later_attempt(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "add",
        "arguments": '{"a": 1}',
        "status": "completed",
        "of_the_future": {"kept": True},
    }
    server.script += [Reply.output(REASONING, call), Reply.http_error(400)]
    agent = Agent("Tester", model, db=db, tools=[add])
    run = await agent.arun("Go", background=True)
    failed = await agent.await_run(run.run_id, timeout=20)
    assert failed is not None
    assert failed.status is RunStatus.error
    await agent.aretry_run(run.run_id)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.completed
    result = {"type": "function_call_output", "call_id": "call_1", "output": "2"}
    assert sent(server)[1:] == [REASONING, call, result]


@LOCALLY
async def test_a_session_goes_on_after_an_answer_that_was_only_reasoning(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    server.script.append(Reply.output(REASONING))
    with pytest.raises(ModelError, match="empty answer") as raised:
        await agent.arun("2 + 2?", session_id="session")
    assert (raised.value.kind, raised.value.transient) == ("empty", True)
    again = await agent.arun("2 + 2?", session_id="session")
    assert again.content == "Hello."
    assert REASONING not in sent(server)


async def test_an_empty_answer_is_tried_again_by_a_run_in_the_background(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    server.script.append(Reply.output(REASONING))
    run = await agent.arun("2 + 2?", background=True, max_attempts=2)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert (ended.status, ended.content, ended.attempt) == (RunStatus.completed, "Hello.", 2)


@LOCALLY
async def test_a_kept_answer_is_not_looked_for_at_another_server(
    db: Database, server: ResponsesServer
) -> None:
    def kept(at: ResponsesServer) -> OpenAIResponses:
        return OpenAIResponses(
            "m", base_url=at.base_url, api_key="sk-test", background=True, max_retries=0
        )

    server.script.append(Reply.failed("invalid_prompt", "No."))
    agent = Agent("Tester", kept(server), db=db)
    run = await agent.arun("Hi", background=True)
    await agent.await_run(run.run_id, timeout=20)
    async with ResponsesServer() as elsewhere:
        agent.model = kept(elsewhere)
        await agent.aretry_run(run.run_id)
        ended = await agent.await_run(run.run_id, timeout=20)
        assert ended is not None
        assert ended.content == "Hello."
        assert elsewhere.lookups == []
        await agent.model.aclose()


@LOCALLY
async def test_calls_however_they_are_written_do_not_end_the_run(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    def call(**values: object) -> dict[str, object]:
        return {"type": "function_call", "name": "add", "arguments": '{"a": 1}', **values}

    calls: list[dict[str, object]] = [
        call(call_id="call_1"),
        call(call_id="call_1", arguments='{"a": 2}'),
        call(),
        call(call_id="call_2", name="functions.Add"),
        call(call_id="call_3", name=None),
        call(call_id="call_4", arguments=None),
        call(call_id="call_5", arguments={"a": 5}),
        call(call_id="call_6", arguments='{"a": "\ud83d"}'),
        call(call_id="call_7", name="a" * 500),
        {"type": "custom_tool_call", "call_id": "call_8", "name": "add", "input": "one"},
    ]
    server.script.append(Reply.output(*calls))
    agent = Agent("Tester", model, db=db, tools=[add])
    run = await agent.arun("Go", background=True)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert (ended.status, ended.content) == (RunStatus.completed, "Hello.")
    told = [str(each["output"]) for each in sent(server) if "output" in each]
    assert told[:3] == ["2", "3", "2"]
    assert told[3] == "There is no tool 'functions.Add'. Did you mean 'add'? The tools are: add."
    assert told[4] == "There is no tool 'unnamed'. The tools are: add."
    assert told[5] == "The arguments do not fit add: a: Field required"
    assert told[6] == "6"
    assert all(each.startswith("The arguments do not fit add") for each in (told[7], told[9]))
    assert len(told[8]) < 200
    ids = [each["call_id"] for each in sent(server) if "call_id" in each]
    assert ids[:10] == ids[10:]
    assert len(set(ids)) == 10


@LOCALLY
async def test_nobody_is_asked_to_confirm_what_does_not_fit(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db, tools=[tool(requires_confirmation=True)(add)])
    server.script += [Reply.tool_calls(("add", "{}")), Reply.tool_calls(("add", '{"a": 1}'))]
    run = await agent.arun("Go", background=True)
    paused = await agent.await_run(run.run_id, timeout=20)
    assert paused is not None
    assert paused.status is RunStatus.paused
    assert [each["output"] for each in sent(server) if "output" in each] == [
        "The arguments do not fit add: a: Field required"
    ]
    [requirement] = paused.active_requirements
    assert requirement.tool_execution.tool_args == {"a": 1}
    requirement.confirm()
    await agent.acontinue_run(run.run_id, requirements=paused.requirements)
    ended = await agent.await_run(run.run_id, timeout=20)
    assert ended is not None
    assert [each.result for each in ended.tools][1:] == ["2"]


@LOCALLY
async def test_a_model_object_with_another_id_is_another_model(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.output(REASONING, SAID))
    agent = Agent("Tester", model, db=db, add_history_to_context=True)
    await agent.arun("2 + 2?", session_id="session")
    model.id = "another-model"
    await agent.arun("Sure?", session_id="session")
    assert server.requests[-1].body["model"] == "another-model"
    assert sent(server)[1] == as_answer("Four.")


@LOCALLY
async def test_items_stay_with_their_server_where_the_environment_changes(
    db: Database, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    async with OpenAIResponses("test-model", api_key="sk-test") as model:
        server.script.append(Reply.output(REASONING, SAID))
        agent = Agent("Tester", model, db=db, add_history_to_context=True)
        await agent.arun("2 + 2?", session_id="session")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        await agent.arun("Sure?", session_id="session")
    assert sent(server)[1:3] == [REASONING, SAID]
