"""Promise 4, for the summary of a session: it is made once for a run, and never harms one."""

import logging
import signal
from typing import Any

import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import open_runtime
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.run.event import RunEvent
from kern.session import SessionSummaryManager
from kern.testing import Reply, ResponsesServer, ScriptedModel

ANSWER = Reply.text("It is Bonn.")
SUMMARY = Reply.text('{"summary": "About Bonn.", "topics": ["Bonn"]}')

BODY = """
from kern.session import SessionSummaryManager
import signal

Summarizer = OpenAIResponses
KILL
model = OpenAIResponses("test-model", max_retries=0)
agent = Agent(
    "Tester",
    model,
    db=db,
    enable_session_summaries=True,
    session_summary_manager=SessionSummaryManager(Summarizer("summary", max_retries=0)),
)
await agent.arun("Which city?", background=True, run_id="run", session_id="session")
await hear()
"""

BEFORE_IT_IS_ASKED = """
class Summarizer(OpenAIResponses):
    async def respond(self, request):
        os.kill(os.getpid(), signal.SIGKILL)
"""

BEFORE_IT_IS_STORED = """
from kern.db.sqlite.session_rows import SqliteSessions
from kern.db.postgres.sessions import PostgresSessions

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

SqliteSessions.summarize = PostgresSessions.summarize = die
"""

ONCE_IT_IS_STORED = """
from kern.db.sqlite.store import SqliteStore
from kern.db.postgres.store import PostgresStore

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

SqliteStore.settle = PostgresStore.settle = die
"""


@pytest.fixture
def heir(shared_db: Database, server: ResponsesServer) -> Agent:
    """The same agent in the process of the test."""
    made: dict[str, Any] = {"base_url": server.base_url, "api_key": "sk-test", "max_retries": 0}
    return Agent(
        "Tester",
        OpenAIResponses("test-model", **made),
        db=shared_db,
        enable_session_summaries=True,
        session_summary_manager=SessionSummaryManager(OpenAIResponses("summary", **made)),
    )


async def carried_on(agent: Agent, db: Database) -> None:
    await expire(db, "run")
    (await open_runtime(db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "It is Bonn.")
    summary = await agent.aget_session_summary("session")
    assert summary is not None
    assert (summary.summary, summary.topics) == ("About Bonn.", ["Bonn"])


def asked(server: ResponsesServer) -> list[object]:
    return [each.body["model"] for each in server.requests]


@pytest.mark.parametrize(
    ("kill", "before"),
    [
        (BEFORE_IT_IS_ASKED, ["test-model"]),
        (BEFORE_IT_IS_STORED, ["test-model", "summary"]),
        (ONCE_IT_IS_STORED, ["test-model", "summary"]),
    ],
    ids=["before it is asked for", "before it is stored", "before the run is settled"],
)
async def test_a_process_that_dies_around_it_has_it_made_once(
    heir: Agent,
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    kill: str,
    before: list[str],
) -> None:
    server.script += [ANSWER, SUMMARY]
    await elsewhere(BODY.replace("KILL", kill), KERN_IN_PROCESS_WORKER="1").ended()
    assert asked(server) == before
    await carried_on(heir, shared_db)
    assert asked(server) == ["test-model", "summary"]


async def test_a_process_that_dies_in_the_middle_of_the_call_has_it_made_again(
    heir: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    held = SUMMARY.held()
    server.script += [ANSWER, held, SUMMARY]
    process = elsewhere(BODY.replace("KILL", ""), KERN_IN_PROCESS_WORKER="1")
    await server.wait_for_requests(2, timeout=20)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    await carried_on(heir, shared_db)
    assert asked(server) == ["test-model", "summary", "summary"]


@pytest.mark.parametrize(
    "failing",
    [Reply.http_error(500), Reply.text("no JSON"), Reply.refusal()],
    ids=["it fails", "no JSON", "it declines"],
)
async def test_a_summary_that_fails_harms_no_run(
    db: Database, failing: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    summaries = ScriptedModel([failing, failing], default=SUMMARY)
    agent = Agent(
        "Tester",
        ScriptedModel(default=ANSWER),
        db=db,
        enable_session_summaries=True,
        session_summary_manager=SessionSummaryManager(summaries),
    )
    run = await agent.arun("Which city?", session_id="session")
    assert (run.status, run.content, run.error) == (RunStatus.completed, "It is Bonn.", None)
    assert await agent.aget_session_summary("session") is None
    assert {each.levelno for each in caplog.records if each.name == "kern"} == {logging.WARNING}


async def test_each_summary_goes_on_from_the_last(db: Database) -> None:
    summaries = ScriptedModel(
        [
            Reply.text('{"summary": "One.", "topics": []}'),
            Reply.text('{"summary": "Two.", "topics": []}'),
            Reply.http_error(500),
            Reply.text('{"summary": "Four.", "topics": []}'),
        ]
    )
    model = ScriptedModel(["First.", "Second.", "Third.", "Fourth."])
    agent = Agent(
        "Tester",
        model,
        db=db,
        enable_session_summaries=True,
        session_summary_manager=SessionSummaryManager(
            summaries, session_summary_prompt="Sum up.", summary_request_message="Go."
        ),
    )
    for number in range(4):
        await agent.arun(f"Ask {number}", session_id="session")
    told = [each.messages[-1].text for each in summaries.requests]
    assert "<user>\nAsk 0\n</user>\n<assistant>\nFirst.\n</assistant>" in told[0]
    assert "<earlier_summary>\nOne.\n</earlier_summary>" in told[1]
    assert "Ask 0" not in told[1]
    assert "Ask 1" in told[1]
    assert "Ask 2" in told[3], "the third run is in no summary yet"
    assert "Ask 1" not in told[3]
    assert summaries.requests[0].messages[0].text == "Sum up."
    assert told[0].endswith("Go.")
    summary = await agent.aget_session_summary("session")
    assert summary is not None
    assert summary.summary == "Four."
    assert summary.updated_at is not None
    assert "One." in str(model.requests[1].messages[0].text), "the model is told of it"
    assert "Two." in str(model.requests[2].messages[0].text)


async def test_a_summary_is_told_as_events_and_counted_by_itself(db: Database) -> None:
    agent = Agent("Tester", ScriptedModel([ANSWER, SUMMARY]), db=db, enable_session_summaries=True)
    events = [each async for each in agent.arun("Hi", stream=True, stream_events=True)]
    kinds = [each.event for each in events]
    started = kinds.index(RunEvent.session_summary_started)
    assert kinds[started + 1] is RunEvent.session_summary_completed
    summary: Any = events[started + 1]
    assert summary.session_summary == {"summary": "About Bonn.", "topics": ["Bonn"]}
    run = await agent.aget_run_output(events[0].run_id)
    assert run is not None
    assert run.metrics.model_calls == 2


async def test_the_last_messages_are_shown_where_there_are_many(db: Database) -> None:
    summaries = ScriptedModel(default=SUMMARY)
    manager = SessionSummaryManager(summaries, last_n_runs=3, conversation_limit=1)
    agent = Agent(
        "Tester",
        ScriptedModel(),
        db=db,
        enable_session_summaries=True,
        session_summary_manager=manager,
        add_session_summary_to_context=False,
    )
    await agent.arun("Ask", session_id="session")
    assert "Ask" not in summaries.requests[0].messages[-1].text
    assert "<assistant>\nHello.\n</assistant>" in summaries.requests[0].messages[-1].text


def test_what_cannot_make_summaries_is_refused() -> None:
    model = ScriptedModel()
    with pytest.raises(ConfigurationError, match="last_n_runs must be a whole number"):
        SessionSummaryManager(last_n_runs=0)
    with pytest.raises(ConfigurationError, match="session_summary_manager must be"):
        Agent(
            "Tester",
            model,
            db=InMemoryDb(),
            enable_session_summaries=True,
            session_summary_manager="gpt",
        )
    with pytest.raises(ConfigurationError, match=r"Without a database .* enable_session_summaries"):
        Agent("Tester", model, enable_session_summaries=True)
