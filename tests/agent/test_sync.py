"""The methods for code without an event loop."""

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kern.agent import Agent
from kern.aio import threads
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import (
    ConfigurationError,
    InvalidInputError,
    ModelError,
    SyncInLoopError,
    ThreadLimitError,
)
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.cancel import cancel_run
from kern.testing import Reply, ResponsesServer
from kern.tools import tool


@pytest.fixture(params=["sqlite", "memory"])
def local_db(request: pytest.FixtureRequest) -> Database:
    """Each kind of database that ends with the process; PostgreSQL is the scripts' part."""
    if request.param == "memory":
        return InMemoryDb()
    found: Database = request.getfixturevalue("sqlite_db")
    return found


@pytest.fixture
def agent(local_db: Database, threaded_model: OpenAIResponses) -> Agent:
    """An agent for code without an event loop."""
    return Agent("Tester", threaded_model, db=local_db)


@pytest.fixture(params=["without", "sqlite", "memory"])
def any_agent(request: pytest.FixtureRequest, threaded_model: OpenAIResponses) -> Agent:
    """An agent without a database, and with each kind in turn."""
    if request.param == "without":
        return Agent("Tester", threaded_model)
    db = InMemoryDb() if request.param == "memory" else request.getfixturevalue("sqlite_db")
    return Agent("Tester", threaded_model, db=db)


def test_a_run_answers(any_agent: Agent) -> None:
    run = any_agent.run("Hi", run_id="run-1", metadata={"a": 1})
    assert (run.status, run.content, run.metadata) == (RunStatus.completed, "Hello.", {"a": 1})


def test_a_stream_comes_as_it_is_written(
    any_agent: Agent, threaded_server: ResponsesServer
) -> None:
    reply = Reply.text("Once ", "upon").held(after=1)
    threaded_server.script.append(reply)
    events = any_agent.run("Tell me.", stream=True)
    assert next(events).content == "Once "
    reply.release()
    assert [event.content for event in events] == ["upon", ""]


def test_every_event_is_there_for_those_who_ask(any_agent: Agent) -> None:
    events = list(any_agent.run("Tell me.", stream=True, stream_events=True))
    assert [str(event.event) for event in events] == [
        "RunStarted",
        "ModelRequestStarted",
        "RunContent",
        "ModelRequestCompleted",
        "RunContentCompleted",
        "RunCompleted",
    ]


def test_a_reader_who_leaves_takes_the_run_along(
    any_agent: Agent, threaded_server: ResponsesServer
) -> None:
    threaded_server.script.append(Reply.text("Once ", "upon").held(after=1))
    for _ in any_agent.run("Tell me.", stream=True):
        break
    threaded_server.wait_for_disconnects_sync(1)


def test_who_leaves_a_stream_finds_its_run_ended(
    agent: Agent, threaded_server: ResponsesServer
) -> None:
    threaded_server.script.append(Reply.text("Once ", "upon").held(after=1))
    events = agent.run("Tell me.", stream=True, run_id="run-1")
    assert next(events).content == "Once "
    del events
    run = agent.get_run_output("run-1")
    assert run is not None
    assert (run.status, run.content) == (RunStatus.cancelled, "Once ")


def test_an_interrupt_takes_the_run_along(
    any_agent: Agent, threaded_server: ResponsesServer
) -> None:
    threaded_server.script.append(Reply.hang())

    def interrupt() -> None:
        threaded_server.wait_for_requests_sync(1)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        any_agent.run("Write for ever.")
    thread.join()
    threaded_server.wait_for_disconnects_sync(1)
    assert any_agent.run("Hi").content == "Hello."


def test_a_background_run_is_waited_for(agent: Agent) -> None:
    submitted = agent.run("Hi", background=True)
    assert submitted.status is RunStatus.pending
    ended = agent.wait_run(submitted.run_id, timeout=20)
    assert ended is not None
    assert (ended.status, ended.content) == (RunStatus.completed, "Hello.")
    assert agent.get_run_output(submitted.run_id, submitted.session_id) == ended
    assert agent.get_run_output("unknown") is None
    assert agent.wait_run("unknown") is None


def test_a_wait_can_be_given_up(agent: Agent, threaded_server: ResponsesServer) -> None:
    reply = Reply.text("Hello").held()
    threaded_server.script.append(reply)
    run = agent.run("Hi", background=True)
    with pytest.raises(TimeoutError):
        agent.wait_run(run.run_id, timeout=0.05)
    reply.release()
    ended = agent.wait_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.completed


def test_a_background_run_is_cancelled(agent: Agent, threaded_server: ResponsesServer) -> None:
    threaded_server.script.append(Reply.hang())
    run = agent.run("Write for ever.", background=True)
    threaded_server.wait_for_requests_sync(1)
    assert agent.cancel_run(run.run_id)
    threaded_server.wait_for_disconnects_sync(1)
    ended = agent.wait_run(run.run_id, timeout=20)
    assert ended is not None
    assert ended.status is RunStatus.cancelled


def test_a_waiting_run_is_cancelled_from_another_thread(
    any_agent: Agent, threaded_server: ResponsesServer
) -> None:
    threaded_server.script.append(Reply.hang())

    def cancel() -> None:
        threaded_server.wait_for_requests_sync(1)
        assert any_agent.cancel_run("run-waiting")

    thread = threading.Thread(target=cancel)
    thread.start()
    assert any_agent.run("Write for ever.", run_id="run-waiting").status is RunStatus.cancelled
    thread.join()
    threaded_server.wait_for_disconnects_sync(1)


def test_errors_come_to_the_caller(any_agent: Agent, threaded_server: ResponsesServer) -> None:
    threaded_server.default = Reply.http_error(404, "There is no such model.")
    with pytest.raises(ModelError, match="There is no such model"):
        any_agent.run("Hi")
    with pytest.raises(ModelError, match="There is no such model"):
        list(any_agent.run("Hi", stream=True))
    with pytest.raises(InvalidInputError, match="The input is empty"):
        any_agent.run("")


def test_without_a_database_there_is_nothing_to_ask(threaded_model: OpenAIResponses) -> None:
    agent = Agent("Tester", threaded_model)
    for ask in (agent.get_run_output, agent.wait_run):
        with pytest.raises(ConfigurationError, match="This needs a database: Agent"):
            ask("run-1")


def test_many_threads_share_an_agent(any_agent: Agent, threaded_server: ResponsesServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(any_agent.run, [f"Hi {number}" for number in range(24)]))
    assert [run.messages[0].content for run in runs] == [f"Hi {number}" for number in range(24)]
    assert {run.status for run in runs} == {RunStatus.completed}


async def test_inside_a_running_loop_the_verbs_still_work(any_agent: Agent) -> None:
    assert any_agent.run("Hi").content == "Hello."
    assert [event.content for event in any_agent.run("Hi", stream=True)] == ["Hello.", ""]
    assert (await any_agent.arun("Hi")).content == "Hello."


async def test_code_with_and_without_a_loop_sees_the_same_runs(
    agent: Agent, threaded_server: ResponsesServer
) -> None:
    reply = Reply.text("Hello").held()
    threaded_server.default = reply
    submitted = agent.run("Hi", background=True)
    also_submitted = await agent.arun("Hi", background=True)
    reply.release()
    for run_id in (submitted.run_id, also_submitted.run_id):
        ended = await agent.await_run(run_id, timeout=20)
        assert ended is not None
        assert ended.status is RunStatus.completed
        assert await asyncio.to_thread(agent.get_run_output, run_id) == ended


async def test_a_loop_that_executes_a_run_is_not_blocked(
    agent: Agent, threaded_server: ResponsesServer
) -> None:
    reply = Reply.text("Hello.").held()
    threaded_server.script.append(reply)
    run = await agent.arun("Hi", background=True)
    with pytest.raises(SyncInLoopError, match=r"await agent\.await_run\(\.\.\.\)"):
        agent.wait_run(run.run_id)
    with pytest.raises(SyncInLoopError, match=r"async for \.\.\. in agent\.astream_run\(\.\.\.\)"):
        agent.stream_run(run.run_id)
    assert not cancel_run("another")  # It does not block.
    reply.release()
    assert await asyncio.to_thread(agent.wait_run, run.run_id, 20)


async def test_a_loop_that_takes_runs_is_not_blocked_between_them(agent: Agent) -> None:
    first = await agent.arun("Hi", background=True)
    await agent.await_run(first.run_id, timeout=20)
    with pytest.raises(SyncInLoopError, match=r"await agent\.arun"):
        agent.run("Hi")


async def test_where_no_more_threads_may_be_the_run_says_which_setting_to_raise(
    any_agent: Agent, threaded_server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.Threads(1, patience=0.05))
    gate = threading.Event()
    tools = [tool(name="work")(lambda: gate.wait(30))]
    agent = Agent("Worker", any_agent.model, db=any_agent.db, tools=tools)
    threaded_server.script.append(Reply.tool_calls(*[("work", {})] * 2))
    with pytest.raises(ThreadLimitError, match="raise KERN_MAX_THREADS"):
        await agent.arun("Go")
    gate.set()


def test_the_generated_twins_are_up_to_date() -> None:
    script = Path(__file__).parent.parent.parent / "scripts/generate_sync.py"
    checked = subprocess.run([sys.executable, script, "--check"], stderr=subprocess.PIPE, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_asynchronous_method_has_a_twin_with_the_same_parameters() -> None:
    methods = dict(inspect.getmembers(Agent, inspect.isfunction))
    others = ("add_to_knowledge", "add_tool", "as_tool")
    asynchronous = [name for name in methods if name.startswith("a") and name not in others]
    assert len(asynchronous) > 30
    for name in asynchronous:
        twin, method = methods[name[1:]], methods[name]
        assert inspect.signature(twin).parameters == inspect.signature(method).parameters
        assert inspect.getdoc(twin)
