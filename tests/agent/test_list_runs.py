"""Looking through an agent's runs, page by page."""

from datetime import UTC, datetime, timedelta

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ConfigurationError, InvalidInputError, RunNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def agent(db: Database, model: OpenAIResponses) -> Agent:
    return Agent("Tester", model, db=db)


async def test_pages_hold_every_run_of_the_agent_once_the_newest_first(
    agent: Agent, model: OpenAIResponses
) -> None:
    other = Agent("Other", model, db=agent.db)
    accepted = []
    for _ in range(7):
        accepted.append((await agent.arun("Go", background=True, run_at=LATER)).run_id)
        await other.arun("Go", background=True, run_at=LATER)
    pages = [await agent.alist_runs(limit=3)]
    while pages[-1]:
        pages.append(await agent.alist_runs(limit=3, before=pages[-1][-1].run_id))
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [run.run_id for page in pages for run in page] == accepted[::-1]


async def test_what_is_there_of_a_listed_run(agent: Agent, server: ResponsesServer) -> None:
    server.script.append(Reply.http_error(400, "No such thing."))
    failed = await agent.arun("Go", background=True, user_id="ann", metadata={"a": 1})
    await agent.await_run(failed.run_id)
    done = await agent.arun("Go", session_id="talk", background=True)
    await agent.await_run(done.run_id)
    [completed, error] = await agent.alist_runs()
    assert (completed.run_id, completed.session_id) == (done.run_id, "talk")
    assert (completed.status, completed.agent_name) == (RunStatus.completed, "Tester")
    assert (completed.content, completed.messages, completed.model) == (None, [], None)
    assert completed.metrics.model_calls == 1
    assert (error.status, error.user_id, error.metadata) == (RunStatus.error, "ann", {"a": 1})
    assert "No such thing." in (error.error or "")

    assert [run.run_id for run in await agent.alist_runs(status=RunStatus.error)] == [error.run_id]
    assert [run.run_id for run in await agent.alist_runs(user_id="ann")] == [error.run_id]
    assert [run.run_id for run in await agent.alist_runs(session_id="talk")] == [done.run_id]
    assert await agent.alist_runs(status=RunStatus.paused) == []


async def test_what_cannot_be_asked_for(agent: Agent, model: OpenAIResponses) -> None:
    with pytest.raises(RunNotFoundError, match="'unknown'"):
        await agent.alist_runs(before="unknown")
    for wrong in ({"limit": 0}, {"status": "DONE"}, {"session_id": "\0"}, {"before": ""}):
        with pytest.raises(InvalidInputError):
            await agent.alist_runs(**wrong)
    with pytest.raises(ConfigurationError, match="needs a database"):
        await Agent("Tester", model).alist_runs()


def test_it_has_a_synchronous_twin(sqlite_db: Database, threaded_model: OpenAIResponses) -> None:
    agent = Agent("Tester", threaded_model, db=sqlite_db)
    run = agent.run("Go", background=True, run_at=LATER)
    assert [each.run_id for each in agent.list_runs(status=RunStatus.pending)] == [run.run_id]
    assert agent.list_runs(before=run.run_id) == []
