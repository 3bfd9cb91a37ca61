"""Promise 4 and 12: a hook that has run does not run again, and what it masks is nowhere at rest.

Processes die in each of the hooks, and between what a hook has changed and the write of it.
"""

import asyncio
import json
import logging
import signal
import sys
from contextlib import aclosing
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
from kern.errors import CheckTrigger, InputCheckError, OutputCheckError
from kern.guardrails import PIIDetectionGuardrail
from kern.hooks import hook
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunInput, RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer, ScriptedModel

SECRET = "ann.secret@example.com"

BODY = """
import signal
from kern.errors import InputCheckError, OutputCheckError
from kern.guardrails import PIIDetectionGuardrail

ledger = open(LEDGER, "a", buffering=1)

def noted(kind, place):
    def noting(**given):
        print(kind, place, file=ledger)
        if (kind, place) == KILL_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "pre":
            given["run_input"].input_content += f" {place}"
        else:
            given["run_output"].content += f" {place}"
    noting.__name__ = f"{kind}{place}"
    return noting

agent.pre_hooks = [noted("pre", place) for place in range(3)]
agent.post_hooks = [noted("post", place) for place in range(3)]
await agent.arun("Hi", background=True, run_id="run")
await hear()
"""


def noted(kind: str, place: int, ledger: Path) -> object:
    """Return the same hook in the process of the test."""

    def pre(run_input: RunInput) -> None:
        with ledger.open("a") as file:
            print(kind, place, file=file)
        run_input.input_content += f" {place}"

    def post(run_output: RunOutput) -> None:
        with ledger.open("a") as file:
            print(kind, place, file=file)
        run_output.content = f"{run_output.content} {place}"

    found = pre if kind == "pre" else post
    found.__name__ = f"{kind}{place}"
    return found


@pytest.mark.parametrize("kind", ["pre", "post"])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_hook_that_has_ended_is_not_called_again(
    agent: Agent,
    shared_db: Database,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
    kind: str,
    place: int,
) -> None:
    server.script += [Reply.text("Hello.")]
    ledger = tmp_path / "ledger"
    body = BODY.replace("LEDGER", repr(str(ledger))).replace("KILL_IN", repr((kind, place)))
    assert await elsewhere(body, KERN_IN_PROCESS_WORKER="1").ended() == -signal.SIGKILL
    agent.pre_hooks = [noted("pre", each, ledger) for each in range(3)]
    agent.post_hooks = [noted("post", each, ledger) for each in range(3)]
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello. 0 1 2")
    assert [each["content"] for each in server.requests[0].body["input"]] in (
        ["Hi 0 1 2"],
        [[{"type": "input_text", "text": "Hi 0 1 2"}]],
    )
    assert len(server.requests) == 1
    called = ledger.read_text().splitlines()
    in_order = [f"{each} {number}" for each in ("pre", "post") for number in range(3)]
    in_order.insert(in_order.index(f"{kind} {place}"), f"{kind} {place}")  # It was under way.
    assert called == in_order


async def stored(db: Database) -> str:
    """Return everything that a database holds."""
    if isinstance(db, SqliteDb):
        path = Path(db._file.path)
        files = [each.read_bytes() for each in path.parent.glob(f"{path.name}*")]
        return b"".join(files).decode(errors="replace")
    assert isinstance(db, PostgresDb)
    connection = await asyncpg.connect(db._dsn)
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
        "WHERE schemaname = $1 AND (starts_with(tablename, $2) OR tablename = 'pgqueuer')",
        db._names.schema,
        db.session_table,
    )
    found = [
        str(await connection.fetch(f"SELECT t::text FROM {row['name']} AS t")) for row in tables
    ]
    await connection.close()
    return "".join(found)


@pytest.mark.parametrize("background", [False, True])
async def test_what_is_masked_is_neither_stored_nor_sent_nor_logged(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
    background: bool,
) -> None:
    caplog.set_level(logging.DEBUG, "kern")
    guardrail = PIIDetectionGuardrail(mask_pii=True)
    agent = Agent("Tester", model, db=shared_db, pre_hooks=[guardrail])
    told = []
    if background:
        stream = agent.arun(
            f"I am {SECRET}.", background=True, run_id="run", stream=True, stream_events=True
        )
        async with aclosing(stream) as events:
            told = [repr(each) async for each in events]
    else:
        await agent.arun(f"I am {SECRET}.", run_id="run")
    again = await agent.arun(f"I am {SECRET}.", run_id="run")
    await agent.aschedule("daily", f"Greet {SECRET}.", cron="0 6 * * *")
    run = await agent.aget_run_output("run")
    assert run is not None
    masked = f"I am {'*' * len(SECRET)}."
    assert run.messages[0].text == again.messages[0].text == masked
    seen = [await stored(shared_db), caplog.text, str(server.requests[0].body), repr(run), *told]
    assert masked in seen[0]
    assert masked in seen[2]
    assert not [each for each in seen if SECRET in each or "ann.secret" in each]


def redact(run_input: RunInput) -> None:
    """Redact it."""
    run_input.input_content = run_input.input_content.replace(SECRET, "<redacted>")


async def test_what_a_function_replaces_is_replaced_in_the_row_too(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    agent = Agent("Tester", model, db=shared_db, pre_hooks=[redact])
    run = await agent.arun(f"I am {SECRET}.", background=True, run_id="run")
    ended = await agent.await_run("run", timeout=20)
    assert ended is not None
    assert ended.messages[0].text == "I am <redacted>."
    assert SECRET not in str(server.requests[0].body)
    store = await shared_db.store()
    record = await store.get("run", with_input=True)
    assert record is not None
    assert SECRET not in str(record.input)
    rows = [each.payload for each in await store.events("run", 0)]
    assert not [each for each in rows if SECRET in each]
    # The same id with the same input is still the same run; another agent's is not.
    assert (await agent.arun(f"I am {SECRET}.", run_id="run")).run_id == run.run_id
    forked = await agent.acontinue_run("run", from_seq=0)
    again = await agent.await_run(forked.run_id, timeout=20)
    assert again is not None
    assert again.messages[0].text == "I am <redacted>."


KILLED_BEFORE_THE_ROW = """
import signal
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.store import SqliteStore

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

PostgresStore.replace_input = SqliteStore.replace_input = die

def redact(run_input):
    run_input.input_content = run_input.input_content.replace("SECRET", "<redacted>")

agent.pre_hooks = [redact]
await agent.arun("I am SECRET.", background=True, run_id="run")
await hear()
"""


async def test_a_loss_before_the_input_is_replaced_sends_and_keeps_nothing_of_it(
    agent: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    body = KILLED_BEFORE_THE_ROW.replace("SECRET", SECRET)
    assert await elsewhere(body, KERN_IN_PROCESS_WORKER="1").ended() == -signal.SIGKILL
    called = []

    def redact(run_input: RunInput) -> None:
        called.append(run_input)

    agent.pre_hooks = [redact]
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, called) == (RunStatus.completed, [])
    assert "I am <redacted>." in json.dumps(server.requests[0].body)
    record = await (await shared_db.store()).get("run", with_input=True)
    assert record is not None
    assert SECRET not in str(record.input)


REFUSED = """
from kern.errors import CheckTrigger, InputCheckError, OutputCheckError

class OwnError(OutputCheckError):
    pass

def check(RUN_WHAT):
    raise ERROR("No.", CheckTrigger.OFF_TOPIC, {"score": 0.9})

agent.KIND_hooks = [check]
await agent.arun("Hi", background=True, run_id="run")
await agent.await_run("run")
say("done")
await hear()
"""


@pytest.mark.parametrize(
    ("kind", "what", "error", "expected"),
    [
        ("pre", "run_input", "InputCheckError", InputCheckError),
        ("post", "run_output", "OutputCheckError", OutputCheckError),
        ("post", "run_output", "OwnError", OutputCheckError),
    ],
)
async def test_another_process_reads_a_refusal_with_its_trigger(
    agent: Agent,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    kind: str,
    what: str,
    error: str,
    expected: type[InputCheckError | OutputCheckError],
) -> None:
    body = REFUSED.replace("RUN_WHAT", what).replace("ERROR", error).replace("KIND", kind)
    assert await elsewhere(body, KERN_IN_PROCESS_WORKER="1").said() == "done"
    run = await agent.aget_run_output("run")
    assert run is not None
    assert (run.status, run.error, run.error_kind) == (RunStatus.error, "No.", expected.__name__)
    stream = agent.arun("Hi", background=True, run_id="run", stream=True)
    with pytest.raises(expected) as raised:
        told = [each async for each in stream]
    assert raised.value.check_trigger is CheckTrigger.OFF_TOPIC
    assert raised.value.additional_data == {"score": 0.9}
    assert raised.value.run_output.run_id == "run"
    quiet = agent.arun("Hi", background=True, run_id="run", stream=True, raise_on_error=False)
    told = [each async for each in quiet]
    assert told[-1].error_id == "off_topic"  # type: ignore[attr-defined] # the event of an error


async def test_the_end_of_asyncio_run_waits_for_hooks_in_the_background() -> None:
    noted: list[str] = []

    @hook(run_in_background=True)
    async def note(run_output: RunOutput) -> None:
        async with asyncio.timeout(10):
            await asyncio.sleep(0.2)
        noted.append(str(run_output.content))

    def run() -> None:
        agent = Agent("Tester", ScriptedModel(["Hello."]), post_hooks=[note])
        asyncio.run(agent.arun("Hi"))

    await asyncio.to_thread(run)
    assert noted == ["Hello."]


SCRIPT = """
import time
from kern.agent import Agent
from kern.hooks import hook
from kern.testing import ScriptedModel

@hook(run_in_background=True)
def note(run_output):
    time.sleep(0.5)
    print("noted", run_output.content, flush=True)

agent = Agent("Tester", ScriptedModel(["Hello."]), post_hooks=[note])
print(agent.run("Hi").content, flush=True)
"""


async def test_the_end_of_a_script_waits_for_hooks_in_the_background(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert out.decode().splitlines() == ["Hello.", "noted Hello."]


async def test_a_background_hook_begins_again_where_its_run_does(
    agent: Agent, shared_db: Database, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    body = """
import signal
from kern.hooks import hook

@hook(run_in_background=True)
async def note(run_output):
    pass

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.store import SqliteStore
PostgresStore.settle = SqliteStore.settle = die
agent.post_hooks = [note]
await agent.arun("Hi", background=True, run_id="run")
await hear()
"""
    assert await elsewhere(body, KERN_IN_PROCESS_WORKER="1").ended() == -signal.SIGKILL
    noted = asyncio.Event()

    @hook(run_in_background=True)
    async def note(run_output: RunOutput) -> None:
        noted.set()

    agent.post_hooks = [note]
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    await asyncio.wait_for(noted.wait(), 20)
