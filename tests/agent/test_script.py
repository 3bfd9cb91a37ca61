"""A plain script, without an event loop of its own, ends when it has come to its end."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import environment_of
from plain_script import RunScript, Script, Scripts

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    """What starts scripts."""
    started = Scripts()
    yield started
    started.close()


@pytest.fixture
def run_script(
    scripts: Scripts, db: Database, threaded_server: ResponsesServer, tmp_path: Path
) -> Iterator[RunScript]:
    """Start scripts on each kind of database in turn."""
    started: list[Script] = []
    variables = environment_of(db, threaded_server.base_url)
    # By name, because a name is what takes more than a connection to be reached at the end.
    variables["TEST_DB"] = variables["TEST_DB"].replace("127.0.0.1", "localhost")

    def start(body: str) -> Script:
        started.append(scripts.start(tmp_path / f"script_{len(started)}.py", body, variables))
        return started[-1]

    yield start
    for script in started:
        script.close()


def statuses(agent: Agent, run_ids: list[str]) -> Counter[RunStatus]:
    """Return what the runs have come to, by the database."""

    async def look() -> Counter[RunStatus]:
        runs = [await agent.aget_run_output(run_id) for run_id in run_ids]
        return Counter(run.status for run in runs if run is not None)

    return asyncio.run(look())


def statuses_after_the_next_start(agent: Agent, run_ids: list[str]) -> Counter[RunStatus]:
    """Serve the agent until the runs have ended, and return what they have come to."""

    async def serve() -> Counter[RunStatus]:
        await agent.arun("Serve", background=True)
        runs = [await agent.await_run(run_id, timeout=20) for run_id in run_ids]
        return Counter(run.status for run in runs if run is not None)

    return asyncio.run(serve())


def test_a_script_that_waits_for_its_run_ends_in_peace(run_script: RunScript) -> None:
    script = run_script(
        """
run = agent.run("Hi", background=True)
print(run.status, agent.wait_run(run.run_id).content, agent.run("Hi").content)
"""
    )
    assert script.ended() == (0, "PENDING Hello. Hello.", "")


def test_a_script_ends_in_peace_where_python_starts_no_thread_at_its_end(
    run_script: RunScript, threaded_server: ResponsesServer
) -> None:
    """As Python 3.12.1 does; others start threads until the last of them has ended."""
    script = run_script(
        """
import threading

def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

print(agent.run("Hi").content)
agent.run("Go on", background=True)
threading._register_atexit(lambda: setattr(threading.Thread, "start", refuse))
"""
    )
    assert script.ended() == (0, "Hello.", "")


def test_a_script_that_ends_with_runs_in_flight_lets_go_of_them(
    run_script: RunScript,
    threaded_server: ResponsesServer,
    threaded_model: OpenAIResponses,
    db: Database,
) -> None:
    threaded_server.default = Reply.hang()
    script = run_script(
        """
runs = [agent.run("Go on", background=True) for _ in range(20)]
print(*(run.run_id for run in runs))
sys.stdin.readline()
"""
    )
    run_ids = script.said().split()
    threaded_server.wait_for_requests_sync(20, timeout=20)
    assert script.ended() == (0, "", "")
    threaded_server.wait_for_disconnects_sync(20)
    if isinstance(db, InMemoryDb):
        return
    agent = Agent("Tester", threaded_model, db=db)
    assert statuses(agent, run_ids) == {RunStatus.pending: 20}
    threaded_server.default = Reply.text("Hello.")
    assert statuses_after_the_next_start(agent, run_ids) == {RunStatus.completed: 20}


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_an_interrupted_script_takes_along_only_the_run_that_it_waits_for(
    run_script: RunScript,
    threaded_server: ResponsesServer,
    threaded_model: OpenAIResponses,
    db: Database,
) -> None:
    threaded_server.default = Reply.hang()
    script = run_script(
        """
agent.run("Go on", background=True, run_id="background")
agent.run("Go on", run_id="foreground")
"""
    )
    threaded_server.wait_for_requests_sync(2, timeout=20)
    script.send(signal.SIGINT)
    ended = script.ended()
    assert ended.code == -signal.SIGINT
    assert ended.errors.strip().endswith("KeyboardInterrupt")
    threaded_server.wait_for_disconnects_sync(2)
    agent = Agent("Tester", threaded_model, db=db)
    assert statuses(agent, ["background"]) == {RunStatus.pending: 1}
    assert statuses(agent, ["foreground"]) == {RunStatus.cancelled: 1}


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "call",
    [
        "agent.run('Go on', session_id='s')",
        "[*agent.run('Go on', session_id='s', stream=True)]",
        "[*agent.run('Go on', session_id='s', stream=True, stream_events=True)]",
        "agent.print_response('Go on', session_id='s')",
    ],
)
def test_an_interrupt_ends_the_run_that_is_waited_for_and_is_raised(
    run_script: RunScript,
    threaded_server: ResponsesServer,
    threaded_model: OpenAIResponses,
    db: Database,
    call: str,
) -> None:
    threaded_server.default = Reply.hang()
    script = run_script(
        f"""
try:
    {call}
except KeyboardInterrupt:
    pass
print(*(run.status for run in agent.list_runs()))
"""
    )
    threaded_server.wait_for_requests_sync(1, timeout=20)
    script.send(signal.SIGINT)
    ended = script.ended()
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.splitlines()[-1] == "CANCELLED"
    threaded_server.wait_for_disconnects_sync(1)


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_an_interrupt_between_two_events_of_a_stream_ends_its_run(
    run_script: RunScript,
    threaded_server: ResponsesServer,
    threaded_model: OpenAIResponses,
    db: Database,
) -> None:
    threaded_server.default = Reply.hang()
    script = run_script(
        """
for event in agent.run("Go on", run_id="run", stream=True, stream_events=True):
    print("there", flush=True)
    sys.stdin.readline()
"""
    )
    assert script.said() == "there"
    script.send(signal.SIGINT)
    ended = script.ended()
    assert ended.code == -signal.SIGINT
    assert ended.errors.count("Traceback") == 1
    assert ended.errors.strip().endswith("KeyboardInterrupt")
    assert statuses(Agent("Tester", threaded_model, db=db), ["run"]) == {RunStatus.cancelled: 1}
