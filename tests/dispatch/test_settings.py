"""The settings of a process: in code, or else in the environment."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import kern
from kern.agent import Agent
from kern.agent.serving import serve
from kern.aio import threads
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.postgres.heart import PostgresHeart
from kern.db.postgres.store import PostgresStore
from kern.dispatch import settings
from kern.dispatch.settings import Settings
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer


def test_what_is_not_given_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.of() == Settings()
    monkeypatch.setenv("KERN_HEARTBEAT", "3")
    monkeypatch.setenv("KERN_CONCURRENCY", "7")
    monkeypatch.setenv("KERN_RETENTION", "2d")
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    assert Settings.of(heartbeat=5) == Settings(False, 5.0, 7, retention=timedelta(2))
    given = Settings.of(in_process_worker=True, concurrency=2, retention=timedelta(1))
    assert given == Settings(True, 3.0, 2, retention=timedelta(1))


@pytest.mark.parametrize(
    "given",
    [
        {"heartbeat": 0.1},
        {"heartbeat": "soon"},
        {"concurrency": 0},
        {"concurrency": True},
        {"concurrency": 1.5},
        {"retention": "30"},
        {"retention": timedelta(0)},
        {"retention": timedelta.max},
        {"max_loop_block": 0},
        {"unserved_timeout": "-1h"},
    ],
    ids=repr,
)
async def test_a_setting_that_cannot_be_used_is_refused_by_its_name(
    model: OpenAIResponses, given: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{next(iter(given))} must be"):
        await serve([Agent("Tester", model, db=InMemoryDb())], **given)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEARTBEAT", "0"),
        ("HEARTBEAT", "2s"),
        ("HEARTBEAT", "1,5"),
        ("HEARTBEAT", "nan"),
        ("CONCURRENCY", "all"),
        ("CONCURRENCY", "1.000"),
        ("RETENTION", "30"),
        ("UNSERVED_TIMEOUT", "1.5h"),
        ("IN_PROCESS_WORKER", "yes"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"KERN_{variable}", value)
    with pytest.raises(ConfigurationError, match=f"^KERN_{variable} must be .* not '{value}'"):
        Settings.of()


async def test_a_database_that_is_in_use_with_other_settings_is_refused(
    model: OpenAIResponses,
) -> None:
    agent = Agent("Tester", model, db=InMemoryDb())
    await agent.arun("Hi")
    with pytest.raises(ConfigurationError, match=r"is in use in this process with .*heartbeat=15"):
        await serve([agent], heartbeat=5)


async def test_a_heartbeat_in_code_reaches_the_time_outs_of_the_database(
    model: OpenAIResponses, postgres_db: PostgresDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "100")
    serving = asyncio.create_task(serve([Agent("Tester", model, db=postgres_db)], heartbeat=6))
    await asyncio.sleep(0)
    # Another object of the same database shares what that one has opened.
    store = await PostgresDb(postgres_db._dsn, postgres_db.session_table).store()
    assert isinstance(store, PostgresStore)
    assert await store.pool.fetchval("SHOW statement_timeout") == "3600ms"
    heart = postgres_db.open_heart()
    assert isinstance(heart, PostgresHeart)
    assert heart._connector.patience == 6
    serving.cancel()
    await asyncio.wait({serving})


async def test_serve_executes_as_many_runs_at_once_as_it_is_told(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_threads", None)
    agent, stopping = Agent("Tester", model, db=InMemoryDb()), asyncio.Event()
    reply = Reply.text("Hello.").held()
    server.default = reply
    serving = asyncio.create_task(serve([agent], stopping=stopping, concurrency=2, max_threads=50))
    await asyncio.sleep(0)
    runs = [await agent.arun("Hi", background=True) for _ in range(4)]
    await server.wait_for_requests(2, timeout=20)
    await asyncio.sleep(0.1)
    assert len(server.requests) == 2
    reply.release()
    for run in runs:
        assert await agent.await_run(run.run_id, timeout=20)
    stopping.set()
    await serving
    assert threads._threads is not None
    assert threads._threads.most == 50


def test_a_variable_that_is_no_setting_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "_warned", set())
    monkeypatch.setenv("KERN_HEARTBEET", "5")
    monkeypatch.setenv("KERN_DB_URL", "sqlite:///kern.db")
    monkeypatch.setenv("KERN_IDEMPOTENCY_KEY", "of a script of a skill")
    for _ in range(2):
        Settings.of()
    [told] = [record.getMessage() for record in caplog.records]
    assert told == (
        "KERN_HEARTBEET is no setting of kern and has no effect. Did you mean 'KERN_HEARTBEAT'?"
    )


def test_every_variable_that_is_read_is_known() -> None:
    source = Path(kern.__file__).parent
    read = {
        name
        for path in source.rglob("*.py")
        for name in re.findall(r"\bKERN_[A-Z_]+\b", path.read_text())
    }
    assert read == {*settings._KNOWN}
