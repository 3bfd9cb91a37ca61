"""A plain script, without an event loop of its own, ends when it has come to its end."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import environment_of
from scripts import RunScript, Script

from kern.db.base import Database
from kern.run.base import RunStatus
from kern.testing import ResponsesServer
from kern.testing.responses import Reply

SUBMIT = """
run = agent.run("Go on", background=True)
print(run.run_id)
sys.stdin.readline()
"""

LOOK = "print(agent.get_run_output({run_id!r}).status)"

RESTART = """
agent.run("Serve", background=True)
print(agent.wait_run({run_id!r}, timeout=20).status)
"""


@pytest.fixture
def run_script(
    db: Database, threaded_server: ResponsesServer, tmp_path: Path
) -> Iterator[RunScript]:
    """Start scripts on each kind of database in turn."""
    started: list[Script] = []

    def start(body: str, **environment: str) -> Script:
        path = tmp_path / f"script_{len(started)}.py"
        variables = environment_of(db, threaded_server.base_url) | environment
        started.append(Script(path, body, variables))
        return started[-1]

    yield start
    for script in started:
        script.close()


def test_a_script_that_waits_for_its_run(run_script: RunScript) -> None:
    script = run_script(
        """
run = agent.run("Hi", background=True)
print(run.status, agent.wait_run(run.run_id).content, agent.run("Hi").content)
"""
    )
    assert script.ended() == (0, "PENDING Hello. Hello.", "")


def test_a_script_that_ends_with_a_run_in_flight(
    run_script: RunScript, threaded_server: ResponsesServer, db: Database
) -> None:
    threaded_server.script.append(Reply.hang())
    script = run_script(SUBMIT)
    run_id = script.said()
    threaded_server.wait_for_requests_sync(1, timeout=20)
    assert script.ended() == (0, "", "")
    threaded_server.wait_for_disconnects_sync(1)
    if ":memory:" not in repr(db):
        assert run_script(LOOK.format(run_id=run_id)).ended() == (0, "PENDING", "")
        assert run_script(RESTART.format(run_id=run_id)).ended() == (0, "COMPLETED", "")


def test_a_script_that_ends_with_many_runs_in_flight(
    run_script: RunScript, threaded_server: ResponsesServer, db: Database
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
    if ":memory:" not in repr(db):
        look = f"print({{str(agent.get_run_output(run_id).status) for run_id in {run_ids!r}}})"
        assert run_script(look).ended() == (0, "{'PENDING'}", "")


def test_a_script_that_is_interrupted_lets_go_of_its_background_runs(
    run_script: RunScript, threaded_server: ResponsesServer, db: Database
) -> None:
    threaded_server.script.append(Reply.hang())
    script = run_script(SUBMIT)
    run_id = script.said()
    threaded_server.wait_for_requests_sync(1, timeout=20)
    script.send(signal.SIGINT)
    ended = script.ended()
    assert ended.code == -signal.SIGINT
    assert ended.errors.strip().endswith("KeyboardInterrupt")
    if ":memory:" not in repr(db):
        assert run_script(LOOK.format(run_id=run_id)).ended() == (0, "PENDING", "")


def test_a_script_that_is_interrupted_takes_the_run_that_it_waits_for_along(
    run_script: RunScript, threaded_server: ResponsesServer, db: Database
) -> None:
    threaded_server.script.append(Reply.hang())
    script = run_script('agent.run("Go on", run_id="run-1")')
    threaded_server.wait_for_requests_sync(1, timeout=20)
    script.send(signal.SIGINT)
    ended = script.ended()
    assert ended.code == -signal.SIGINT
    assert ended.errors.strip().endswith("KeyboardInterrupt")
    threaded_server.wait_for_disconnects_sync(1)
    if ":memory:" not in repr(db):
        look = run_script(LOOK.format(run_id="run-1"))
        assert look.ended() == (0, str(RunStatus.cancelled), "")


def test_a_script_whose_database_is_named_by_host(
    run_script: RunScript, threaded_server: ResponsesServer, db: Database
) -> None:
    where = environment_of(db, "")["TEST_DB"]
    if not where.startswith("postgresql"):
        pytest.skip("only PostgreSQL has a host")
    host = where.replace("127.0.0.1", "localhost")
    threaded_server.default = Reply.hang()
    script = run_script(
        """
runs = [agent.run("Go on", background=True) for _ in range(20)]
print(*(run.run_id for run in runs))
sys.stdin.readline()
""",
        TEST_DB=host,
    )
    run_ids = script.said().split()
    threaded_server.wait_for_requests_sync(20, timeout=20)
    assert script.ended() == (0, "", "")
    look = f"print({{str(agent.get_run_output(run_id).status) for run_id in {run_ids!r}}})"
    assert run_script(look).ended() == (0, "{'PENDING'}", "")
