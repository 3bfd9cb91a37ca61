"""What a database answers users who ask it for sessions and runs themselves."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import create_engine
from stores import new_run

from kern.agent import Agent
from kern.db.base import SessionType
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import AsyncPostgresDb, PostgresDb
from kern.db.sqlite import AsyncSqliteDb, SqliteDb
from kern.errors import ConfigurationError, InvalidInputError, RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message, Metrics
from kern.session import AgentSession, SessionSummary
from kern.testing import Reply, ResponsesServer

AnyDb = SqliteDb | PostgresDb


def ended(run_id: str, session_id: str = "session", **fields: Any) -> RunOutput:
    messages = [Message("user", f"Ask {run_id}"), Message("assistant", f"Answer {run_id}")]
    defaults = {"status": RunStatus.completed, "messages": messages, "created_at": 1e9}
    given: dict[str, Any] = defaults | fields
    return RunOutput(run_id, session_id, "tester", content=f"Answer {run_id}", **given)


def test_a_session_is_kept_with_all_that_it_holds(db: AnyDb) -> None:
    session = AgentSession(
        "session",
        "tester",
        "ada",
        {"session_state": {"city": "Łódź"}, "session_name": "Trip", "own": [1]},
        {"team": "red"},
        {"model": "small"},
        summary=SessionSummary("About \x00 a trip.", ["trip"]),
        created_at=1_000_000_000,
    )
    session.upsert_run(ended("1", user_id="ada", metrics=Metrics(5, 2)))
    db.upsert_session(session)
    found = db.get_session("session", SessionType.AGENT, "ada")
    assert found is not None
    assert found.session_data == session.session_data
    assert (found.metadata, found.agent_data) == (session.metadata, session.agent_data)
    assert found.summary == session.summary
    assert found.created_at == 1_000_000_000
    assert [run.content for run in found.runs] == ["Answer 1"]
    assert found.runs[0].metrics.input_tokens == 5
    values = db.get_session("session", "agent", deserialize=False)
    assert isinstance(values, dict)
    assert AgentSession.from_dict(values).to_dict() == found.to_dict()


def test_storing_a_session_leaves_the_state_that_others_have_changed_meanwhile(db: AnyDb) -> None:
    db.upsert_session(AgentSession("session", session_data={"session_state": {"count": 1}}))
    mine, others = db.get_session("session"), db.get_session("session")
    assert mine
    assert others
    others.session_data["session_state"] = {"count": 2}
    db.upsert_session(others)
    mine.session_data["session_name"] = "Mine"
    db.upsert_session(mine)
    found = db.get_session("session")
    assert found
    assert found.session_data == {"session_state": {"count": 2}, "session_name": "Mine"}


def test_the_session_of_another_user_is_not_found(db: AnyDb) -> None:
    db.upsert_session(AgentSession("session", "tester", "ada", {"session_name": "Ada's"}))
    assert db.get_session("session", user_id="eve") is None
    assert db.rename_session("session", "agent", "Eve's", user_id="eve") is None
    assert db.delete_session("session", user_id="eve") is False
    db.upsert_session(AgentSession("session", "tester", "eve", {"session_name": "Eve's"}))
    for user in ("ada", "eve"):
        found = db.get_session("session", user_id=user)
        assert found
        assert found.session_name == f"{user.title()}'s"
        assert [each.user_id for each in db.get_sessions(user_id=user)] == [user]


def test_sessions_are_listed_by_user_agent_name_and_time(db: AnyDb) -> None:
    for number in range(5):
        db.upsert_session(
            AgentSession(
                f"session-{number}",
                "tester" if number < 4 else "other",
                "ada" if number % 2 else None,
                {"session_name": f"Trip {number}"} if number < 3 else None,
                created_at=1000 + number,
            )
        )

    def ids(**wanted: Any) -> list[str]:
        found = db.get_sessions(**wanted)
        assert isinstance(found, list)
        return [each.session_id[-1] for each in found]

    assert ids() == ["4", "3", "2", "1", "0"]
    assert ids(sort_order="asc", sort_by="created_at") == ["0", "1", "2", "3", "4"]
    assert ids(user_id="ada") == ["3", "1"]
    assert ids(component_id="other") == ["4"]
    assert ids(session_name="TRIP") == ["2", "1", "0"]
    assert ids(session_name="%") == []
    assert ids(start_timestamp=1001, end_timestamp=1003) == ["3", "2", "1"]
    assert ids(limit=2, page=2) == ["2", "1"]
    assert ids(session_type="team") == []
    db.rename_session("session-2", "agent", "Trip 2, the last change")
    assert ids(limit=3, sort_by="updated_at") == ["2", "4", "3"]
    values = db.get_sessions(limit=2, deserialize=False)
    assert isinstance(values, tuple)
    assert [each["session_id"] for each in values[0]] == ["session-4", "session-3"]
    assert values[1] == 5


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"session_type": "swarm"}, "session_type must be one of 'agent'"),
        ({"session_type": "workflow"}, "kern has no workflows"),
        ({"sort_by": "name"}, "sort_by must be 'created_at'"),
        ({"sort_order": "up"}, "sort_order must be"),
        ({"page": 0}, "page must be"),
        ({"page": 2, "limit": None}, "page: say how long"),
        ({"limit": 0}, "limit must be"),
        ({"start_timestamp": "today"}, "start_timestamp must be a number"),
    ],
)
def test_what_cannot_be_listed_is_refused(wanted: Any, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        InMemoryDb().get_sessions(**wanted)


def test_what_is_no_json_is_not_stored(db: AnyDb) -> None:
    with pytest.raises(InvalidInputError, match=r"session_state\['x'\] has no JSON form"):
        db.upsert_session(AgentSession("session", session_data={"session_state": {"x": object()}}))
    with pytest.raises(InvalidInputError, match="Pass an AgentSession"):
        db.upsert_session({"session_id": "session"})  # type: ignore[arg-type] # as users may
    assert db.get_session("session") is None


def test_runs_are_stored_read_replaced_and_deleted(db: AnyDb) -> None:
    for number in range(3):
        db.upsert_run(ended(str(number)))
    db.upsert_run(ended("1", status=RunStatus.error, error="It failed."))
    assert [run.run_id for run in db.get_runs("session")] == ["2", "1", "0"]
    assert [run.error for run in db.get_runs(status="ERROR")] == ["It failed."]
    assert [run.run_id for run in db.get_runs(agent_id="tester", limit=2, page=2)] == ["0"]
    assert db.get_runs(user_id="eve") == []
    values = db.get_run("0", deserialize=False)
    assert isinstance(values, dict)
    assert values["content"] == "Answer 0"
    assert db.delete_run("0") is True
    assert db.delete_run("0") is False
    assert db.get_run("0") is None


async def test_a_run_that_has_not_ended_is_neither_replaced_nor_deleted(db: AnyDb) -> None:
    await (await db.store()).submit(new_run())
    with pytest.raises(RunStateError, match="has not ended"):
        db.upsert_run(ended("run"))
    with pytest.raises(RunStateError, match="is PENDING"):
        db.delete_run("run")
    with pytest.raises(InvalidInputError, match="only a run that has ended"):
        db.upsert_run(ended("other", status=RunStatus.running))


def test_a_run_of_another_user_is_not_replaced(db: AnyDb) -> None:
    db.upsert_run(ended("1", user_id="ada"))
    db.upsert_run(ended("1", user_id="eve"))
    with pytest.raises(RunStateError, match="another session or user"):
        db.upsert_run(ended("1"))
    [mine] = db.get_runs(user_id="ada")
    assert mine.run_id == "1"
    assert [run.user_id for run in db.get_runs(user_id="eve")] == ["eve"]


async def test_a_deleted_session_takes_its_runs_along_and_stops_those_that_wait(
    db: AnyDb,
) -> None:
    store = await db.store()
    await store.submit(new_run("1"))
    await store.submit(new_run("2"))
    await db.aupsert_run(ended("3"))
    await db.aupsert_run(ended("4", "other"))
    assert await db.adelete_session("session") is True
    assert await db.aget_session("session") is None
    assert [run.run_id for run in await db.aget_runs()] == ["4"]
    assert await db.adelete_session("session") is False


async def test_synchronous_methods_work_within_a_running_loop(db: AnyDb) -> None:
    db.upsert_run(ended("1"))
    session = db.get_session("session")
    assert session
    assert [run.run_id for run in session.runs] == ["1"]


async def test_synchronous_methods_work_in_a_tool_of_a_synchronous_run(
    db: AnyDb, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.tool_calls(("look", {})), Reply.text("One.")]

    async def look() -> str:
        """Look at the sessions, on the loop that executes the run."""
        return str(len(db.get_sessions()))

    def ask() -> object:
        agent = Agent("Tester", model, tools=[look], db=db)
        return agent.run("How many?").tools[0].result

    assert await asyncio.to_thread(ask) == "1"


async def test_the_methods_of_an_async_database_are_awaited(
    postgres_db: PostgresDb, sqlite_db: SqliteDb
) -> None:
    databases: list[AsyncSqliteDb | AsyncPostgresDb] = [
        AsyncSqliteDb(sqlite_db._file.path, sqlite_db.session_table),
        AsyncPostgresDb(postgres_db._dsn, postgres_db.session_table),
    ]
    for db in databases:
        async with db:
            await db.upsert_session(AgentSession("session"))
            await db.upsert_run(ended("1"))
            found = await db.get_session("session", runs_limit=5)
            assert found
            assert [run.run_id for run in found.runs] == ["1"]
            await db.delete_sessions(["session"])
            assert await db.get_sessions() == []


def test_an_engine_of_sqlalchemy_says_where_the_database_is(
    tmp_path: Any, postgres_db: PostgresDb
) -> None:
    file = tmp_path / "new" / "kern.db"
    SqliteDb(db_engine=create_engine(f"sqlite:///{file}")).upsert_session(AgentSession("1"))
    assert SqliteDb(db_url=f"sqlite+aiosqlite:///{file}").get_session("1")
    url = postgres_db._dsn.replace("postgresql://", "postgresql+asyncpg://").partition("?")[0]
    again = PostgresDb(db_engine=create_engine(url), session_table=postgres_db.session_table)
    assert str(again._target.address) == str(postgres_db._target.address)


def test_names_of_other_tables_change_nothing(sqlite_db: SqliteDb) -> None:
    db = SqliteDb(sqlite_db._file.path, memory_table="memories", approvals_table="approvals")
    db.upsert_session(AgentSession("session"))
    assert SqliteDb(sqlite_db._file.path).get_session("session")
    with pytest.raises(TypeError, match="Did you mean 'approvals_table'"):
        SqliteDb(approval_table="approvals")  # type: ignore[call-arg] # as users may
    with pytest.raises(ConfigurationError, match="memory_table 'a b' is not an identifier"):
        SqliteDb(memory_table="a b")
    with pytest.raises(ConfigurationError, match="PostgresDb needs to know where"):
        PostgresDb()
    with pytest.raises(ConfigurationError, match="db_engine must be an engine"):
        PostgresDb(db_engine="postgresql://host/db")
    with pytest.raises(ConfigurationError, match="db_url must be sqlite:///"):
        SqliteDb(db_url="mysql://host/db")


async def test_a_long_session_is_read_by_its_last_runs(sqlite_db: Database) -> None:
    db = sqlite_db
    assert isinstance(db, SqliteDb)
    for number in range(20):
        await db.aupsert_run(ended(str(number)))
    found = await db.aget_session("session", runs_limit=3)
    assert found
    assert [run.run_id for run in found.runs] == ["17", "18", "19"]
    none = await db.aget_session("session", runs_limit=0)
    assert none
    assert none.runs == []
