"""Who executes a run, or why nobody does, as the command line says it."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from command import options_of, printed
from journals import answer, row
from rich.console import Console
from stores import CLAIM, LEASE, LOST, ending, execute, new_run, seconds_ago
from worker_command import StartWorker

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.connections import Connections
from kern.db.processes import Process
from kern.db.sqlite.file import SqliteFile
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolCall, ToolExecution
from kern.testing import Reply, ResponsesServer

HOSTILE = "\x1b[2J\x9b31m\x07 [bold]x[/bold] \u202e"
COMMANDS = ("\x1b", "\x9b", "\x07", "\u202e")


def said(db: Database, *command: str) -> str:
    return printed(options_of(db), *command)


def told(db: Database, *command: str) -> Any:
    return json.loads(said(db, *command, "--json"))


def prepare(db: Database, work: Callable[[Store], Awaitable[object]]) -> None:
    async def main() -> None:
        await work(await db.store())

    asyncio.run(main())


WORKER = Process("executor", "db-host", 4711, ("agent",), "1.0", 5, 1, 60.0)


async def every_kind(store: Store) -> None:
    """Have a run for most of the reasons."""
    await store.processes.beat(WORKER)
    call = ToolCall("call", "search", '{"query":"heat pumps"}')
    await store.submit(new_run("executing", session_id="a", lease=LEASE, executor="executor"))
    await store.append(
        "executing", 1, [row("executing", 1, answer(None, call, starts=(0,)), 2)], False
    )
    for run_id in ("holder", "session"):
        await store.submit(new_run(run_id, session_id="talk", ordered=True))
    await store.claim("holder", CLAIM)
    output = RunOutput.from_record(await known(store, "holder"))
    output.status = RunStatus.paused
    refund = ToolExecution("1", "refund", "{}")
    output.requirements = [RunRequirement("x", "confirmation", refund)]
    await store.settle(output.settlement(1))
    await store.submit(new_run("unserved", session_id="b", agent_id="other"))
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.submit(new_run("scheduled", session_id="c", run_at=later))
    await store.submit(new_run("lost", session_id="d"))
    await store.claim("lost", LOST)
    await store.submit(new_run("refused", session_id="e"))
    await store.claim("refused", CLAIM)
    await store.refuse("refused", 1, "There is no tool «search».", 60.0, timedelta(1))
    await store.submit(new_run("limit", session_id="f"))
    await store.submit(new_run("counted", session_id="g", agent_id="agent"))
    await store.claim("counted", CLAIM._replace(agent_limit=1))
    await store.claim("limit", CLAIM._replace(agent_limit=1))
    await store.submit(new_run("due", session_id="h"))
    await store.submit(new_run("ended", session_id="i"))
    await store.claim("ended", CLAIM)
    await store.settle(ending("ended"))


async def known(store: Store, run_id: str) -> Any:
    found = await store.get(run_id)
    assert found is not None
    return found


REASONS = {
    "executing": "executed by process 4711 on db-host",
    "holder": "waits for a person: confirmation of refund({})",
    "session": "waits for run holder of its session, which is PAUSED",
    "unserved": "no worker serves the agent 'other' (1 serves others)",
    "scheduled": "scheduled for ",
    "lost": "its worker is gone since ",
    "refused": "refused by process 4711 on db-host: There is no tool «search».",
    "limit": "over the limit max_concurrent_runs: 1 run of the agent 'agent' executes",
    "due": "; 1 worker may claim it",
}


def test_list_show_and_status_say_the_same(shared_db: Database) -> None:
    prepare(shared_db, every_kind)
    listing = {line.split()[0]: line for line in said(shared_db, "runs", "list").splitlines()}
    status = said(shared_db, "db", "status")
    values = {run["run_id"]: run["why"] for run in told(shared_db, "runs", "list")}
    for run_id, text in REASONS.items():
        assert text in listing[run_id]
        assert text in " ".join(said(shared_db, "runs", "show", run_id).split())
        assert text in values[run_id]["text"]
        assert text in status
    assert values["ended"] is None
    assert values["session"] == {
        "reason": "session",
        "text": REASONS["session"],
        "since": None,
        "until": None,
        "run_id": "holder",
        "executor": None,
    }
    assert values["executing"]["executor"] == "executor"
    assert datetime.fromisoformat(values["scheduled"]["until"]) > datetime.now(UTC)
    assert told(shared_db, "runs", "show", "limit")["why"]["reason"] == "limit"

    found = told(shared_db, "db", "status")
    assert found["workers"] == {"alive": 1, "gone": 0, "executing": 1, "slots": 5}
    whys = {why["first_run_id"]: why for why in found["why"]}
    assert (whys["unserved"]["runs"], whys["unserved"]["agent_id"]) == (1, "other")
    assert whys["due"]["reason"] == "due"
    assert "1 alive, 1 of 5 slots in use" in status


def test_the_step_under_way_is_shown_and_since_when(shared_db: Database) -> None:
    prepare(shared_db, every_kind)
    shown = " ".join(said(shared_db, "runs", "show", "executing").split())
    assert 'Step search({"query":"heat pumps"}) for ' in shown
    step = told(shared_db, "runs", "show", "executing")["step"]
    assert step["text"] == 'search({"query":"heat pumps"})'
    assert abs(datetime.fromisoformat(step["since"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert told(shared_db, "runs", "show", "due")["step"] is None


def test_on_a_narrow_terminal_the_reason_takes_the_place_of_the_input(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(sqlite_db, every_kind)
    for width in (20, 40, 80, 120, 200):
        narrow = Console(highlight=False, width=width, color_system=None)
        monkeypatch.setattr("kern.cli.runs.listing.console", lambda shown=narrow: shown)
        monkeypatch.setattr("kern.cli.terminal.console", lambda shown=narrow: shown)
        for command in (["runs", "list"], ["workers"]):
            lines = said(sqlite_db, *command).splitlines()
            assert max(map(len, lines)) <= width
        if width == 80:
            listing = said(sqlite_db, "runs", "list")
            assert "Input, error or why" in listing
            assert "no worker serves the agent 'other'" in listing


def test_hostile_names_do_not_command_the_terminal(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        process = replace(WORKER, host=HOSTILE, agents=(HOSTILE, "agent"), version=HOSTILE)
        await store.processes.beat(replace(process, executor="evil\x1b[2J"))
        await store.submit(new_run("a", session_id="a", agent_id="[red]other\x9b2J"))
        await store.submit(new_run("b", session_id="b", user_id="[red]u"))
        await store.claim("b", CLAIM._replace(user_limit=0))
        await store.submit(new_run("c\x1b]0;x", session_id="c", ordered=True))
        await store.submit(new_run("d", session_id="c", ordered=True))
        await store.submit(new_run("e", session_id="e"))
        await store.claim("e", CLAIM)
        await store.refuse("e", 1, HOSTILE + "x" * 100_000, 60.0, timedelta(1))

    prepare(shared_db, work)
    commands = [["runs", "list"], ["workers"], ["db", "status"]]
    commands += [["runs", "show", each] for each in "abde"]
    for command in commands:
        shown = said(shared_db, *command)
        assert not any(each in shown for each in COMMANDS), command
        assert len(shown) < 30_000
    assert "[bold]x[/bold]" in said(shared_db, "workers")
    assert "[red]other" in said(shared_db, "runs", "list")
    assert told(shared_db, "workers")[0]["name"] == "evil\x1b[2J"


def test_the_workers_are_listed_the_gone_ones_too(shared_db: Database) -> None:
    said(shared_db, "db", "migrate")
    assert said(shared_db, "workers") == "No workers.\n"
    assert told(shared_db, "workers") == []

    async def work(store: Store) -> None:
        await store.processes.beat(WORKER)
        other = replace(WORKER, executor="other", pid=12, agents=("else", "agent"), slots=None)
        await store.processes.beat(replace(other, heartbeat=-1.0))

    prepare(shared_db, work)
    alive, gone = told(shared_db, "workers")
    assert {name: alive[name] for name in ("name", "host", "pid", "agents", "version")} == {
        "name": "executor",
        "host": "db-host",
        "pid": 4711,
        "agents": ["agent"],
        "version": "1.0",
    }
    assert (alive["slots"], alive["executing"], alive["alive"], alive["heartbeat"]) == (
        *(5, 1, True),
        60.0,
    )
    assert 0 <= alive["seconds_since_beat"] < 60
    assert datetime.fromisoformat(alive["last_beat"]) <= datetime.now(UTC)
    assert (gone["name"], gone["alive"], gone["slots"]) == ("other", False, None)
    header, first, second = said(shared_db, "workers").splitlines()
    assert header.split()[:5] == ["Worker", "State", "Host", "PID", "Executing"]
    assert first.split()[:6] == ["executor", "alive", "db-host", "4711", "1", "5"]
    assert second.split()[1] == "gone"
    assert [each["name"] for each in told(shared_db, "workers", "--agent", "else")] == ["other"]


@contextmanager
def counted(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count what the database is asked."""
    count = [0]
    owner: Any = Connections if isinstance(db, PostgresDb) else SqliteFile
    name = "fetch" if isinstance(db, PostgresDb) else "read"
    asked = getattr(owner, name)

    async def ask(self: object, *args: object, **kwargs: object) -> object:
        count[0] += 1
        return await asked(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, ask)
        yield count


def test_thousands_of_runs_take_as_many_statements_as_one(
    shared_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(store: Store) -> None:
        await store.submit(new_run("run", session_id="s"))

    async def thousands(store: Store) -> None:
        await execute(
            store,
            "INSERT INTO {runs} (run_id, session_id, agent_id, status, input, "
            "due_at, created_at) WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 "
            "FROM numbers WHERE n < 1500) SELECT 'run-' || n, 'talk', 'agent', 'PENDING',"
            f" '1', {seconds_ago(store, 9)}, {seconds_ago(store, 9)} FROM numbers",
        )

    counts: dict[int, list[int]] = {}
    for number, work in enumerate((one, thousands)):
        prepare(shared_db, work)
        counts[number] = []
        for command in (
            ["runs", "list", "--json", "--limit", "1500"],
            ["db", "status"],
            ["workers"],
        ):
            with counted(shared_db, monkeypatch) as count:
                shown = said(shared_db, *command)
            counts[number].append(count[0])
    assert "1,501 runs of the agent 'agent' (the first is run): no worker serves" in said(
        shared_db, "db", "status"
    )
    assert "due" in shown or shown == "No workers.\n"
    # One more is what a connection asks for itself.
    assert all(many <= few + 1 for few, many in zip(counts[0], counts[1], strict=True)), counts
    assert max(counts[1]) <= 10


@pytest.fixture
def _submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")


@pytest.mark.usefixtures("_submit_only")
async def test_what_a_real_worker_executes_and_then_leaves_behind(
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    start: StartWorker,
) -> None:
    agent = Agent("Tester", model, db=postgres_db)
    server.script.append(Reply.hang())
    run = await agent.arun("Go on", background=True)

    async def why() -> dict[str, Any]:
        shown = await asyncio.to_thread(told, postgres_db, "runs", "show", run.run_id)
        return {**shown["why"], "step": shown["step"]}

    assert (await why())["reason"] == "unserved"
    worker = start(postgres_db, "--log", "json", "--heartbeat", "1", "--concurrency", "3")
    await server.wait_for_requests(1, timeout=60)
    async with asyncio.timeout(20):
        while (found := await why())["reason"] != "executing":
            assert found["reason"] == "silent"
    assert found["step"]["text"] == "model call"
    async with asyncio.timeout(20):
        while not (process := (await asyncio.to_thread(told, postgres_db, "workers"))[0])["alive"]:
            pass
    assert (process["agents"], process["slots"], process["alive"]) == (["tester"], 3, True)
    assert f"process {process['pid']} on {process['host']}" in found["text"]
    worker.send(signal.SIGKILL)
    async with asyncio.timeout(20):
        while (found := await why())["reason"] != "lost":
            assert found["reason"] in ("executing", "silent")
    assert "its worker is gone since " in found["text"]
    assert "no worker serves the agent 'tester' (none is alive)" in found["text"]
    assert found["since"] is not None
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(told, postgres_db, "workers"))[0]["alive"]:
            pass
