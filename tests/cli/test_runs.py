"""What ``kern runs`` shows and does, with a database and no agent in hand."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command import invoked, options_of
from journals import answer, row
from stores import CLAIM, LEASE, LOST, execute, new_run

from kern.agent import Agent
from kern.db.base import Store
from kern.db.database import Database
from kern.db.processes import Process
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.record import JournalRow
from kern.run.steps import AttemptFailed, CallBegun, TextSlice
from kern.run.tool import ToolCall
from kern.run.tool_steps import SleepBegun, StepEnded, ToolEnded
from kern.testing import Reply, ScriptedModel, Usage

KERN = str(Path(sys.executable).with_name("kern"))

HOSTILE = "\x1b[2J\x9b31m\x07 [bold]x[/bold] \u202e\ud800\0"
COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def kern(db: Database, *command: str) -> tuple[int, str]:
    return invoked(options_of(db), "runs", *command)


def said(db: Database, *command: str) -> str:
    exit_code, output = kern(db, *command)
    assert exit_code == 0, output
    return output


def listed(db: Database, *command: str) -> list[str]:
    return [run["run_id"] for run in json.loads(said(db, "list", "--json", *command))]


def prepare(db: Database, work: Callable[[Store], Awaitable[object]]) -> None:
    async def main() -> None:
        await work(await db.store())

    asyncio.run(main())


def given(text: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text}]}, separators=(",", ":"))


async def end(
    store: Store,
    run_id: str = "run",
    status: RunStatus = RunStatus.completed,
    *rows: JournalRow,
    content: str | None = None,
    error: str | None = None,
) -> None:
    """Have a run executed, and end."""
    record = await store.claim(run_id, CLAIM)
    assert record is not None
    output = RunOutput.from_record(record)
    output.status, output.content, output.error = status, content, error
    await store.settle(output.settlement(1, rows))


async def three_runs(store: Store) -> None:
    """Have a run that failed, one that is completed, and one that waits."""
    await store.submit(new_run("first", agent_id="other", input=given("Say yes")))
    await end(store, "first", RunStatus.error, error="It is broken\nfor good")
    await store.submit(new_run("second", session_id="talk", user_id="ann", input=given("Say no")))
    await end(store, "second", content="No.")
    await store.submit(new_run("third", priority=7, input=given("Research\n\nheat pumps")))


def test_runs_are_listed_the_newest_first(shared_db: Database) -> None:
    prepare(shared_db, three_runs)
    header, *rows = said(shared_db, "list").splitlines()
    assert header.split()[:3] == ["Run", "Status", "Agent"]
    third, second, first = rows
    assert third.split()[:3] == ["third", "PENDING", "agent"]
    assert third.rstrip().endswith("Research heat pumps")
    assert second.split()[:5] == ["second", "COMPLETED", "agent", "talk", "ann"]
    assert first.rstrip().endswith("It is broken for good")
    assert "Say yes" not in first

    assert listed(shared_db) == ["third", "second", "first"]
    assert listed(shared_db, "--limit", "1") == ["third"]
    assert listed(shared_db, "--before", "second") == ["first"]
    assert listed(shared_db, "--status", "ERROR", "--status", "pending") == ["third", "first"]
    assert listed(shared_db, "--agent", "other") == ["first"]
    assert listed(shared_db, "--session", "talk") == ["second"]
    assert listed(shared_db, "--user", "ann") == ["second"]
    assert listed(shared_db, "--search", "HEAT") == ["third"]
    assert listed(shared_db, "--search", "ann") == ["second"]
    assert listed(shared_db, "--since", "1h") == ["third", "second", "first"]
    for option in ("--agent", "--session", "--user"):
        assert listed(shared_db, option, "agent' OR '1'='1") == []
    assert said(shared_db, "list", "--user", "nobody") == "No runs.\n"


def test_hostile_texts_do_not_command_the_terminal(shared_db: Database) -> None:
    run_id = "run\x9b2J[red]"

    async def work(store: Store) -> None:
        text = HOSTILE + "x" * 200_000
        call = ToolCall("call", HOSTILE, HOSTILE)
        rows = [
            row(run_id, 1, answer(text, call, starts=(0,)), 2),
            row(run_id, 2, ToolEnded(0, text, error=True), 6),
            row(run_id, 3, AttemptFailed(text), 7),
        ]
        await store.submit(new_run(run_id, input=given(text), metadata=json.dumps({"a": HOSTILE})))
        await end(store, run_id, RunStatus.error, *rows, content=text, error=text)

    prepare(shared_db, work)
    for command in (["list"], ["show", run_id], ["watch", run_id], ["cancel", run_id]):
        _, shown = kern(shared_db, *command)
        assert not COMMANDS.search(shown)
        assert "[red]" in shown
    listing = said(shared_db, "list")
    assert "[bold]x[/bold]" in listing
    assert "\u202e" not in listing
    assert len(listing) < 1000
    assert len(said(shared_db, "show", run_id)) < 20_000
    [run] = json.loads(said(shared_db, "list", "--json"))
    assert run["error"] == HOSTILE + "x" * 200_000
    run = json.loads(said(shared_db, "show", run_id, "--json"))
    assert run["output"]["content"] == HOSTILE + "x" * 200_000


def test_a_run_is_shown_with_what_has_happened_in_it(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        call = ToolCall("call", "search", '{"query":"heat pumps"}')
        await store.submit(new_run(input=given("Research")))
        await end(
            store,
            "run",
            RunStatus.completed,
            row("run", 1, answer(None, call, starts=(0,)), 2),
            row("run", 2, ToolEnded(0, "three results"), 5),
            JournalRow("run", 3, 6, "Nonsense", False, "[]"),
            JournalRow("run", 4, 7, "Paused", False, "[]"),
            row("run", 5, answer("Buy one."), 8),
            content="Buy one.",
        )

    prepare(shared_db, work)
    shown = said(shared_db, "show", "run")
    lines = [line.split(maxsplit=3) for line in shown.splitlines()]
    events = {words[0]: words[2:] for words in lines if len(words) > 2 and words[0].isdigit()}
    assert {seq: words[0] for seq, words in events.items()} == {
        "1": "RunStarted",
        "2": "ModelRequestStarted",
        "3": "ModelRequestCompleted",
        "4": "ToolCallStarted",
        "5": "ToolCallCompleted",
        "6": "Nonsense",
        "7": "Paused",
        "8": "ModelRequestStarted",
        "9": "RunContent",
        "10": "ModelRequestCompleted",
        "12": "RunCompleted",
    }
    assert '12 + 34 tokens: asks for search({"query":"heat pumps"})' in events["3"][1]
    assert 'search({"query":"heat pumps"}) → three results' in events["5"][1]
    assert "Upgrade kern" in events["6"][1]
    assert "cannot be read" in events["7"][1]
    assert "Buy one." in events["10"][1]
    assert "Research" in shown

    run = json.loads(said(shared_db, "show", "run", "--json"))
    assert (run["status"], run["output"]["content"]) == ("COMPLETED", "Buy one.")
    assert run["input"] == [{"role": "user", "content": "Research"}]
    assert [event["seq"] for event in run["events"]] == [*range(1, 11), 12]
    assert run["events"][4]["payload"]["content"] == "three results"


def test_what_tools_do_in_steps_is_shown_where_it_happened(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        await store.submit(new_run(input=given("Order")))
        await end(
            store,
            "run",
            RunStatus.completed,
            row("run", 1, answer(None, ToolCall("call", "order", "{}"), starts=(0,)), 2),
            row("run", 2, StepEnded(0, f"charge {HOSTILE}", 0, '{"id":7}'), 5),
            row("run", 3, StepEnded(0, "mail", 0, "refused", "ConnectionError"), 5),
            row("run", 4, SleepBegun(0, 0, 0.0, suspended=True), 5),
            row("run", 5, ToolEnded(0, "ordered"), 5),
        )

    prepare(shared_db, work)
    shown = said(shared_db, "show", "run")
    assert not COMMANDS.search(shown)
    kinds = [line.split()[2] for line in shown.splitlines() if line.split()[:1] == ["5"]]
    assert kinds == ["StepEnded", "StepEnded", "SleepBegun", "ToolCallCompleted"]
    assert '→ {"id":7}' in shown
    assert "until 1970-01-01 00:00:00 UTC" in " ".join(shown.split())


def test_a_typed_answer_is_shown_as_json_with_what_did_not_fit(shared_db: Database) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    suggested = Reply.text('{"followups": ["Why?", "Where?"]}').counting(Usage(7, 8))

    async def work(_: Store) -> None:
        model = ScriptedModel(["{}", '{"a": 1}', suggested])
        agent: Agent[Any, Any] = Agent(
            "Tester", model, output_schema=schema, followups=True, num_followups=2, db=shared_db
        )
        await agent.arun("Work", run_id="typed")

    prepare(shared_db, work)
    shown = said(shared_db, "show", "typed")
    assert "does not fit: 'a' is a required property" in " ".join(shown.split())
    assert '{"a":1}' in shown
    assert "7 + 8 tokens: Why? Where?" in " ".join(shown.split())
    [output] = [json.loads(said(shared_db, "show", "typed", "--json"))["output"]]
    assert (output["content"], output["content_type"]) == ({"a": 1}, "dict")


def test_who_executes_a_run_and_who_refused_it_is_shown(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        process = Process("executor", "db-host", 4711, ("agent",), "1.0", None, 1)
        await store.processes.beat(process)
        await store.submit(new_run("parent"))
        await store.claim("parent", CLAIM)
        await store.submit(new_run("child", session_id="other", parent_run_id="parent"))
        await store.claim("child", CLAIM)
        await store.refuse("child", 1, "There is no tool «search».", 60.0, timedelta(1))

    prepare(shared_db, work)
    shown = said(shared_db, "show", "parent")
    assert "executor, process 4711 on db-host" in shown
    assert "Refused" not in shown
    shown = " ".join(said(shared_db, "show", "child").split())
    assert "Refused There is no tool «search»." in shown
    assert "Started by parent" in shown
    run = json.loads(said(shared_db, "show", "child", "--json"))
    assert (run["refusal"], run["parent_run_id"]) == ("There is no tool «search».", "parent")
    assert json.loads(said(shared_db, "show", "parent", "--json"))["executor"] == "executor"


def test_a_damaged_run_is_shown_all_the_same(shared_db: Database) -> None:
    async def work(store: Store) -> None:
        await store.submit(new_run(input='"no messages"'))
        await end(store, "run")
        await execute(store, "UPDATE {runs} SET output = '[]', error = '7'")

    prepare(shared_db, work)
    assert listed(shared_db) == ["run"]
    assert "run" in said(shared_db, "list")
    assert "COMPLETED" in said(shared_db, "show", "run")
    run = json.loads(said(shared_db, "show", "run", "--json"))
    assert (run["input"], run["error"], run["output"]["content"]) == ([], "7", None)


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "retry", "list --before"])
def test_an_unknown_run_is_said_and_leaves_nothing_behind(
    shared_db: Database, command: str
) -> None:
    async def nothing_is_there(store: Store) -> None:
        assert await execute(store, "SELECT run_id FROM {runs}") == []

    prepare(shared_db, nothing_is_there)
    exit_code, shown = kern(shared_db, *command.split(), "unknown")
    assert exit_code == 1
    assert shown.startswith("Error: There is no run 'unknown' in ")
    assert shown.count("\n") == 1
    prepare(shared_db, nothing_is_there)


def test_a_mistake_is_one_line(shared_db: Database) -> None:
    for command in (["list", "--since", "soon"], ["list", "--agent", ""], ["show", "\x01"]):
        exit_code, shown = kern(shared_db, *command)
        assert exit_code == 1
        assert shown.startswith("Error: ")
        assert shown.count("\n") == 1


def test_runs_are_cancelled_and_each_is_told_of(shared_db: Database) -> None:
    prepare(shared_db, three_runs)
    exit_code, shown = kern(shared_db, "cancel", "second", "third")
    assert (exit_code, shown) == (1, "second has ended before: COMPLETED\nthird is cancelled\n")
    assert listed(shared_db, "--status", "CANCELLED") == ["third"]
    assert said(shared_db, "cancel", "third") == "third has ended before: CANCELLED\n"


def test_a_failed_run_is_retried(shared_db: Database) -> None:
    prepare(shared_db, three_runs)
    assert "first is PENDING" in said(shared_db, "retry", "first")
    assert listed(shared_db, "--status", "PENDING") == ["third", "first"]
    exit_code, shown = kern(shared_db, "retry", "second")
    assert (exit_code, shown) == (1, "Error: Run second is COMPLETED, not ERROR.\n")

    async def can_be_executed(store: Store) -> None:
        assert await store.claim("first", CLAIM) is not None
        assert "Continued" in [event.type for event in await store.events("first", 0)]

    prepare(shared_db, can_be_executed)


def test_watching_an_ended_run_tells_how_it_ended(shared_db: Database) -> None:
    prepare(shared_db, three_runs)
    shown = said(shared_db, "watch", "second")
    assert "RunCompleted" in shown
    assert shown.endswith("second is COMPLETED\n")
    exit_code, shown = kern(shared_db, "watch", "first")
    assert exit_code == 1
    assert "RunError It is broken for good" in shown


class Watch:
    """``kern runs watch`` in a process of its own."""

    def __init__(
        self, db: Database, *arguments: str, stdout: int = subprocess.PIPE, **environment: str
    ) -> None:
        self.process = subprocess.Popen(
            [KERN, "runs", "watch", *arguments, *options_of(db)],
            stdout=stdout,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        )

    async def says(self, wanted: str) -> str:
        """Return what it prints until it has printed this."""
        shown = b""
        assert self.process.stdout is not None
        while wanted not in shown.decode(errors="ignore"):
            read = asyncio.to_thread(os.read, self.process.stdout.fileno(), 65536)
            piece = await asyncio.wait_for(read, 20)
            assert piece, shown
            shown += piece
        return shown.decode()

    async def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), 20)


@pytest.fixture
def watch(shared_db: Database, request: pytest.FixtureRequest) -> Callable[..., Watch]:
    """Start to watch."""

    def start(*arguments: str, **more: Any) -> Watch:
        watching = Watch(shared_db, *arguments, **more)

        def close() -> None:
            watching.process.kill()
            watching.process.wait(10)
            if watching.process.stdout is not None:
                watching.process.stdout.close()

        request.addfinalizer(close)
        return watching

    return start


async def test_a_run_is_followed_piece_by_piece(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run(lease=LEASE))
    watching = watch("run")
    asked: list[Any] = []
    async with asyncio.timeout(20):
        while not asked:
            asked = await store.wanted(["run"])
    await store.append("run", 1, [row("run", 1, CallBegun())], True)
    for seq, piece in enumerate(("Heat ", "pumps\n"), 2):
        await store.append("run", 1, [row("run", seq, TextSlice(piece))], True)
        await watching.says(piece)
    completed = row("run", 4, answer("Heat pumps\n", slices=(5, 6)), 2)
    output = RunOutput("run", "session", "agent", status=RunStatus.completed, content="Heat pumps")
    await store.settle(output.settlement(1, [completed], fold_before=4))
    shown = await watching.says("run is COMPLETED")
    assert "Heat" not in shown
    assert await watching.ended() == 0


async def test_a_program_follows_a_run_by_lines_of_json(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run())
    watching = watch("run", "--json")
    [line] = (await watching.says("\n")).splitlines()
    stands = json.loads(line)
    assert (stands["run_id"], stands["status"]) == ("run", "PENDING")
    assert (stands["why"]["reason"], stands["step"]) == ("unserved", None)
    await store.claim("run", LOST)
    await watching.says('"lost"')
    output = RunOutput("run", "session", "agent", status=RunStatus.completed)
    await store.settle(output.settlement(1))
    events = [json.loads(line) for line in (await watching.says("RunCompleted")).splitlines()]
    assert [each["event"] for each in events if "event" in each][-1] == "RunCompleted"
    assert await watching.ended() == 0


async def test_a_program_watches_all_runs_by_lines_of_json(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run())
    watching = watch("--json")
    run = json.loads(await watching.says("\n"))
    assert (run["run_id"], run["status"], run["step"]) == ("run", "PENDING", None)
    await store.claim("run", CLAIM)
    run = json.loads(await watching.says("\n"))
    assert (run["status"], run["step"]["text"]) == ("RUNNING", "model call")
    await store.cancel("run")
    output = RunOutput("run", "session", "agent", status=RunStatus.completed)
    await store.settle(output.settlement(1))
    assert '"status": "CANCELLED"' in await watching.says("\n")


async def test_all_runs_are_watched_until_ctrl_c(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run())
    watching = watch()
    assert "run PENDING agent agent attempt 0" in await watching.says("\n")
    await store.claim("run", CLAIM)
    assert "run RUNNING agent agent attempt 1" in await watching.says("\n")
    await store.cancel("run")
    output = RunOutput("run", "session", "agent", status=RunStatus.completed)
    await store.settle(output.settlement(1))
    assert "run CANCELLED" in await watching.says("\n")
    watching.process.send_signal(signal.SIGINT)
    assert await watching.ended() == 130


async def test_what_executes_comes_first_with_its_step_and_the_others_say_why(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run("busy", session_id="first", lease=LEASE))
    call = ToolCall("call", "search", "{}")
    await store.append("busy", 1, [row("busy", 1, answer(None, call, starts=(0,)), 2)], False)
    for number in range(30):
        await store.submit(new_run(f"run-{number}", session_id=f"{number}", agent_id="other"))
    watching = watch()
    lines = (await watching.says("run-29 PENDING")).splitlines()
    assert "busy RUNNING agent agent attempt 1: search({}) for " in lines[0]
    assert "run-0 PENDING agent other attempt 0: no worker serves the agent 'other'" in lines[1]
    assert len(lines) >= 31


async def test_on_a_screen_that_is_too_small_what_executes_is_seen(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run("busy", session_id="first", lease=LEASE))
    for number in range(30):
        await store.submit(new_run(f"run-{number}", session_id=f"{number}"))
    ours, theirs = os.openpty()
    watching = watch(stdout=theirs, TERM="xterm", COLUMNS="120", LINES="9")
    os.close(theirs)
    try:
        shown = ""
        while "run-29" not in shown:
            read = asyncio.to_thread(os.read, ours, 65536)
            shown += (await asyncio.wait_for(read, 20)).decode(errors="ignore")
        assert shown.index("busy") < shown.index("run-29")
        assert "model call for " in shown
        assert "run-20" not in shown
        watching.process.send_signal(signal.SIGINT)
        assert await watching.ended() == 130
    finally:
        os.close(ours)


async def test_who_follows_a_run_is_told_why_nobody_executes_it(
    shared_db: Database, watch: Callable[..., Watch]
) -> None:
    store = await shared_db.store()
    await store.submit(new_run())
    watching = watch("run")
    await watching.says("no worker serves the agent 'agent' (none is alive)")
    await store.processes.beat(Process("executor", "db-host", 4711, ("agent",), "1.0", 5, 0))
    await watching.says("1 worker may claim it")
    await store.claim("run", LOST)
    await watching.says("its worker is gone since ")
    await store.cancel("run")
    await watching.says("run is CANCELLED")
    assert await watching.ended() == 1
