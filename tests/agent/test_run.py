"""A run that the caller awaits, with and without a database."""

import asyncio
from types import CoroutineType

import pytest
from locally import LOCALLY_OR_NONE

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ModelError, RunConflictError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.testing import Reply, ResponsesServer, Usage


@LOCALLY_OR_NONE
async def test_a_run_answers(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("Hel", "lo").counting(Usage(7, 3, 2, 1)))
    agent = Agent("The Tester", model, db=any_db)
    run = await agent.arun(
        "Hi", run_id="run-1", session_id="session-1", user_id="ann", metadata={"a": [1, None]}
    )
    assert (run.status, run.content, run.error) == (RunStatus.completed, "Hello", None)
    assert (run.run_id, run.session_id, run.user_id) == ("run-1", "session-1", "ann")
    assert (run.agent_id, run.agent_name) == ("the-tester", "The Tester")
    assert (run.model, run.model_provider) == ("test-model", "OpenAI")
    assert run.metadata == {"a": [1, None]}
    assert run.messages == [Message("user", "Hi"), Message("assistant", "Hello")]
    assert run.metrics.total_tokens == 10
    assert run.metrics.cached_tokens == 2
    assert run.metrics.model_calls == 1
    assert run.metrics.duration is not None


async def test_what_is_returned_is_what_is_kept(db: Database, model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", user_id="ann", metadata={"a": 1})
    assert await agent.aget_run_output(run.run_id) == run
    assert await agent.aget_run_output(run.run_id, run.session_id) == run
    assert await agent.await_run(run.run_id) == run


async def test_a_run_is_not_found_in_another_session(db: Database, model: OpenAIResponses) -> None:
    agent = Agent("Tester", model, db=db)
    run = await agent.arun("Hi", session_id="this")
    assert await agent.aget_run_output(run.run_id, "that") is None
    assert await agent.aget_run_output("unknown") is None
    assert await agent.await_run("unknown") is None


async def test_each_run_has_an_id_and_a_session_of_its_own(
    any_db: Database | None, model: OpenAIResponses
) -> None:
    agent = Agent("Tester", model, db=any_db)
    runs = [await agent.arun("Hi") for _ in range(2)]
    assert len({run.run_id for run in runs} | {run.session_id for run in runs}) == 4


async def test_the_system_message_says_who_the_agent_is_and_what_it_does(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent(
        "Tester", model, description="You are a cook.", instructions=["Be brief.", "Be kind."]
    )
    await agent.arun("Hi")
    assert server.requests[0].body["instructions"] == "You are a cook.\n\n- Be brief.\n- Be kind."


@LOCALLY_OR_NONE
async def test_a_conversation_can_be_given(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    said: list[Message | dict[str, object]] = [
        Message("user", "Hi"),
        Message("assistant", "Hello."),
        {"role": "user", "content": "And now?"},
    ]
    run = await Agent("Tester", model, db=any_db).arun(said)
    assert [message.content for message in run.messages] == ["Hi", "Hello.", "And now?", "Hello."]
    assert [item["role"] for item in server.requests[0].body["input"]] == [
        "user",
        "assistant",
        "user",
    ]


async def test_many_runs_go_at_once(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Hello").held()
    server.default = reply
    agent = Agent("Tester", model, db=any_db)
    runs = [asyncio.create_task(agent.arun(f"Hi {number}")) for number in range(20)]
    await server.wait_for_requests(20)
    reply.release()
    for number, run in enumerate(await asyncio.gather(*runs)):
        assert (run.status, run.messages[0].content) == (RunStatus.completed, f"Hi {number}")


@LOCALLY_OR_NONE
async def test_a_refusal_is_an_answer(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.refusal("I'd rather not."))
    run = await Agent("Tester", model, db=any_db).arun("Hi")
    assert (run.status, run.content) == (RunStatus.completed, "I'd rather not.")
    assert run.messages[-1].refusal


async def test_the_same_run_is_made_once(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=db)
    first, second = [await agent.arun("Hi", run_id="run-1") for _ in range(2)]
    assert second == first
    assert len(server.requests) == 1


async def test_the_same_run_asked_for_twice_at_once_is_made_once(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    reply = Reply.text("Hello").held()
    server.default = reply
    agent = Agent("Tester", model, db=db)
    asking = [asyncio.create_task(agent.arun("Hi", run_id="run-1")) for _ in range(2)]
    await server.wait_for_requests(1)
    reply.release()
    first, second = await asyncio.gather(*asking)
    assert first == second
    assert len(server.requests) == 1


async def test_an_id_in_use_for_something_else_is_refused(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent, other = Agent("Tester", model, db=db), Agent("Other", model, db=db)
    await agent.arun("Hi", run_id="run-1")
    with pytest.raises(RunConflictError, match=r"run_id 'run-1' is in use.+Choose a new one\."):
        await agent.arun("Bye", run_id="run-1")
    with pytest.raises(RunConflictError, match="in use for another input or agent"):
        await other.arun("Hi", run_id="run-1")
    assert len(server.requests) == 1


async def test_a_failed_run_raises_and_is_kept_as_an_error(
    any_db: Database | None, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.failed("server_error", "The oven is cold.", "Once upon"))
    agent = Agent("Tester", model, db=any_db)
    with pytest.raises(ModelError, match="The oven is cold") as raised:
        await agent.arun("Hi", run_id="run-1")
    assert raised.value.content == "Once upon"
    if any_db is not None:
        run = await agent.aget_run_output("run-1")
        assert run is not None
        assert (run.status, run.error) == (RunStatus.error, str(raised.value))
        assert run.content == "Once upon"
        assert run.messages == [Message("user", "Hi")]


def test_an_agent_serves_loops_one_after_another(
    sqlite_db: Database, threaded_model: OpenAIResponses
) -> None:
    agent = Agent("Tester", threaded_model, db=sqlite_db)

    async def ask() -> list[str | None]:
        waited = await agent.arun("Hi")
        submitted = await agent.arun("Hi", background=True)
        ended = await agent.await_run(submitted.run_id, timeout=20)
        assert ended is not None
        return [waited.content, ended.content]

    assert [asyncio.run(ask()) for _ in range(2)] == [["Hello.", "Hello."]] * 2


async def test_a_run_that_nobody_awaits_is_named_as_it_was_called() -> None:
    run = Agent("Tester").arun("Hi")
    assert isinstance(run, CoroutineType)
    assert run.__qualname__ == "Agent.arun"  # Python's warning says it.
    run.close()
