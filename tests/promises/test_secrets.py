"""Promise 12: no key in any table, event, log record, exception or repr; and no pickle at rest."""

import json
import logging
import signal
import traceback
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.dispatch.opening import open_runtime
from kern.errors import DatabaseUnavailableError, ModelError
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

KEY, ENVIRONMENT_KEY = "sk-planted-argument-4711", "sk-planted-environment-4712"
HEADER, DEPENDENCY = "planted-header-4713", "planted-dependency-4714"
PASSWORD, VARIABLE = "plantedpassword4715", "planted-variable-4716"
PLANTED = (KEY, ENVIRONMENT_KEY, HEADER, DEPENDENCY, PASSWORD, VARIABLE)
WITHIN = 20.0


def _check(place: str, text: str) -> None:
    for secret in PLANTED:
        assert secret not in text, f"{secret} is in {place}"


def _is_pickle(raw: bytes) -> bool:
    """Say whether bytes begin and end as a pickle does; the middle of a text may begin so."""
    return (
        raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and raw[-1:] == b"."
    )


async def _check_postgres(db: PostgresDb) -> None:
    """Look at every column of every table of this database's, and of the queue's."""
    connection = await asyncpg.connect(db._dsn)
    try:
        await _check_tables(connection, db)
    finally:
        await connection.close()


async def _check_tables(connection: asyncpg.Connection, db: PostgresDb) -> None:
    schema = db._names.schema
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = $1",
        schema,
    )
    assert any(table.startswith("pgqueuer") for table, _, _ in columns)
    # Not those of another test, whose names begin with the same number.
    own = (f"{db.session_table}_", f"{db.session_table.removesuffix('_sessions')}_", "pgqueuer")
    for table, column, kind in columns:
        if not f"{table}_".startswith(own):
            continue
        for (value,) in await connection.fetch(
            f'SELECT "{column}" FROM "{schema}"."{table}" WHERE "{column}" IS NOT NULL'
        ):
            raw = value if isinstance(value, bytes) else str(value).encode()
            assert not _is_pickle(raw), f"{table}.{column} looks like pickle"
            _check(f"{table}.{column}", raw.decode(errors="replace"))
            if kind in ("json", "jsonb"):
                json.loads(value)


def _check_sqlite(db: SqliteDb) -> None:
    path = Path(db._file.path)
    files = list(path.parent.glob(f"{path.name}*"))
    assert files
    for file in files:
        content = file.read_bytes()
        assert b"\x80\x04\x95" not in content
        _check(file.name, content.decode(errors="replace"))


async def _check_stored(db: Database) -> None:
    if isinstance(db, PostgresDb):
        await _check_postgres(db)
    else:
        assert isinstance(db, SqliteDb)
        _check_sqlite(db)


@pytest.fixture
async def secret_db(shared_db: Database, postgres: EmbeddedPostgres) -> Database:
    """A database whose password, if it has one, is planted."""
    if not isinstance(shared_db, PostgresDb):
        return shared_db
    connection = await asyncpg.connect(postgres.superuser_url)
    with suppress(asyncpg.DuplicateObjectError):
        await connection.execute(f"CREATE ROLE planted LOGIN PASSWORD '{PASSWORD}' IN ROLE ai")
        await connection.execute("ALTER ROLE planted SET role = ai")  # So ai owns what it makes.
    await connection.close()
    url = shared_db._dsn.replace("ai:ai@", f"planted:{PASSWORD}@")
    assert PASSWORD in url
    return PostgresDb(url, session_table=shared_db.session_table)


async def use(context: RunContext) -> str:
    """Use the dependency."""
    return f"{len(str(context.dependencies['token']))} characters for {context!r:.20}"


async def fail(context: RunContext) -> str:
    """Fail with the dependency in hand."""
    token = str(context.dependencies["token"])
    raise RuntimeError(f"refused a token of {len(token)} characters, in {context!r}")


@pytest.mark.parametrize("from_environment", [False, True])
async def test_no_key_is_in_any_table_event_log_error_or_repr(
    secret_db: Database,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    from_environment: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", ENVIRONMENT_KEY)
    monkeypatch.setenv("SERVICE_TOKEN", VARIABLE)
    key = ENVIRONMENT_KEY if from_environment else KEY
    model = OpenAIResponses(
        "test-model",
        base_url=server.base_url,
        api_key=None if from_environment else KEY,
        max_retries=0,
        default_headers={"X-Gateway-Token": HEADER},
    )
    agent = Agent(
        "Secretive", model, db=secret_db, tools=[use, fail], dependencies={"token": DEPENDENCY}
    )
    seen: list[str] = [repr(agent), repr(model), repr(secret_db), repr(agent.tools)]

    # Success, with tools that use and tools that fail, streamed.
    server.script += [Reply.tool_calls(("use", {}), ("fail", {})), Reply.text("Done.")]
    stream = agent.arun("Go", stream=True, stream_events=True, background=True, run_id="good")
    seen += [repr(event) async for event in stream]
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    assert server.requests[0].headers["x-gateway-token"] == HEADER

    # The provider quotes the key.
    refusal = Reply.http_error(401, f"Incorrect API key provided: {key}.")
    server.script += [refusal, refusal, Reply.failed("bad", f"The key {key} is bad.", "Half")]
    await agent.arun("Refused", background=True, run_id="refused")
    refused = await agent.await_run("refused", timeout=WITHIN)
    assert refused is not None
    assert refused.status is RunStatus.error
    with pytest.raises(ModelError) as raised:
        await agent.arun("Refused here")
    seen += ["".join(traceback.format_exception(raised.value)), repr(raised.value)]
    stream = agent.arun("Broken", stream=True, stream_events=True, background=True, run_id="bad")
    try:
        async for event in stream:
            seen.append(repr(event))
    except ModelError as error:
        seen.append(repr(error))

    # A cancel.
    server.script.append(Reply.hang())
    asked = len(server.requests)
    await agent.arun("Hang", background=True, run_id="hung")
    await server.wait_for_requests(asked + 1)
    assert await agent.acancel_run("hung")
    await agent.await_run("hung", timeout=WITHIN)

    for run_id in ("good", "refused", "bad", "hung"):
        run = await agent.aget_run_output(run_id)
        assert run is not None
        seen += [repr(run), run.to_json()]
        seen += [repr(event) async for event in agent.astream_run(run_id)]
    for number, text in enumerate(seen):
        _check(f"what was seen, {number}", text)
    for record in caplog.records:
        _check(f"a log record of {record.name}", caplog.handler.format(record))
    await _check_stored(secret_db)


async def test_no_key_is_stored_by_a_crash_and_what_follows_it(
    agent: Agent, server: ResponsesServer, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    assert agent.db is not None
    server.script += [Reply.text("Half ", "of it.").held(after=1), Reply.text("Whole.")]
    printed = tmp_path / "printed"
    process = elsewhere(
        f"""
import logging
logging.basicConfig(level=logging.DEBUG, filename={str(printed)!r})
print(agent, db, agent.model, file=open({str(printed)!r}, "a"))
agent.dependencies["token"] = {DEPENDENCY!r}
stream = agent.arun("Go", stream=True, background=True, run_id="crashed")
await anext(stream)
say("half")
await hear()
""",
        OPENAI_API_KEY=ENVIRONMENT_KEY,
        SERVICE_TOKEN=VARIABLE,
    )
    assert await process.said() == "half"
    process.send(signal.SIGKILL)
    await process.ended()
    assert server.requests[0].headers["authorization"] == f"Bearer {ENVIRONMENT_KEY}"
    await expire(agent.db, "crashed")
    (await open_runtime(agent.db)).serve(agent)
    run = await agent.await_run("crashed", timeout=WITHIN)
    assert run is not None
    assert run.content == "Whole."
    _check("what the process wrote", printed.read_text())
    assert "OpenAIResponses('test-model')" in printed.read_text()
    await _check_stored(agent.db)


@pytest.mark.parametrize(
    "address", [f"u:{PASSWORD}@127.0.0.1:1/ai", f"u:{PASSWORD}@127.0.0.1:PORT/ai"]
)
async def test_a_database_that_does_not_let_us_in_does_not_tell_the_password(
    postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    caplog.set_level(logging.DEBUG)
    db = PostgresDb("postgresql://" + address.replace("PORT", str(postgres.port)))
    with pytest.raises(DatabaseUnavailableError) as raised:
        await db.store()
    _check("the error", "".join(traceback.format_exception(raised.value)))
    _check("the log", caplog.text)
    _check("the database", repr(db))
