"""Promises 4 to 6 for teams: what a leader and its members do is stopped, counted and kept as one.

That a team goes on wherever its processes are killed, and what it waits for, is in test_people.py.
"""

import asyncio
import signal
from typing import Any

import pytest
from elsewhere import Elsewhere
from load import ended
from teams import calling, leading, task

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.errors import UsageLimitError
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.usage import UsageLimits
from kern.team import Team
from kern.testing import FunctionModel, Reply, ResponsesServer, ScriptedModel
from kern.tools import tool

BOTH = pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])


async def carried_out(team: Agent[Any, Any], background: bool, **options: Any) -> RunOutput:
    if not background:
        run: RunOutput = await team.arun("Go", **options)
        return run
    submitted = await team.arun("Go", background=True, **options)
    return await ended(team, submitted.run_id, 15)


async def live_below(db: Database, run_id: str) -> list[str]:
    """Return the children of a run that have not ended."""
    return [*await (await db.store()).children(run_id)]


# A cancel.


@BOTH
async def test_a_cancel_reaches_the_members_of_teams_in_teams(
    shared_db: Database, background: bool
) -> None:
    begun, calls = asyncio.Event(), list[str]()

    async def wait() -> str:
        """Wait."""
        calls.append("begun")
        if len(calls) == 2:
            begun.set()
        await asyncio.Event().wait()
        return "never"

    workers = [Agent(f"Worker {n}", calling([("wait", {})]), tools=[wait]) for n in (1, 2)]
    inner = Team(workers, "Inner", leading("worker-1", "worker-2"))
    team = Team([inner], "Outer", leading("inner"), db=shared_db)
    going = asyncio.create_task(carried_out(team, background, run_id="run"))
    async with asyncio.timeout(15):
        await begun.wait()
        assert await team.acancel_run("run")
        run = await going
    assert run.status is RunStatus.cancelled
    async with asyncio.timeout(15):
        while await live_below(shared_db, "run"):  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.01)
    records = await (await shared_db.store()).sessions.runs(run.session_id, 10, user_id=None)
    assert [each.status for each in records] == [RunStatus.cancelled] * 4


async def test_no_member_begins_after_the_cancel_of_its_team(shared_db: Database) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    member = ScriptedModel(default="never")

    async def hold(function_name: str, function: Any, arguments: dict[str, Any]) -> object:
        asked.set()
        await go_on.wait()
        return await function(**arguments)

    team = Team(
        [Agent("Worker", member)], "Team", leading("worker"), db=shared_db, tool_hooks=[hold]
    )
    await team.arun("Go", background=True, run_id="run")
    async with asyncio.timeout(15):
        await asked.wait()
        assert await team.acancel_run("run")
        go_on.set()
        assert (await ended(team, "run", 15)).status is RunStatus.cancelled
    assert member.requests == []
    assert await live_below(shared_db, "run") == []


# One bill.


@BOTH
async def test_what_members_use_is_summed_over_teams_in_teams(
    shared_db: Database, background: bool
) -> None:
    workers = [Agent(f"Worker {n}", ScriptedModel(default="Done")) for n in (1, 2)]
    inner = Team(workers, "Inner", leading("worker-1", "worker-2"))
    team = Team([inner], "Outer", leading("inner"), db=shared_db)
    run = await carried_out(team, background, session_id="talk")
    assert (run.metrics.model_calls, run.metrics.tool_calls) == (6, 3)
    session = await team.aget_session_metrics("talk")  # Each run counts once.
    assert session is not None
    assert session.total_tokens == run.metrics.total_tokens > 0
    store = await shared_db.store()
    used = await store.usage_of_children(run.run_id)
    assert len(used) == 3


async def test_members_may_use_what_their_team_has_left(shared_db: Database) -> None:
    @tool
    def look() -> str:
        """Look again."""
        return "nothing yet"

    restless = ScriptedModel(default=Reply.tool_calls(("look", {})))
    worker = Agent("Worker", restless, tools=[look])
    team = Team([worker], "Team", leading("worker"), db=shared_db)
    with pytest.raises(UsageLimitError) as raised:
        await team.arun("Go", usage_limits=UsageLimits(requests=5))
    assert raised.value.run_output.metrics.model_calls == 5


# A circle.


def endless(member_id: str) -> FunctionModel:
    """Return a model that always gives its member a task first, then says what it heard."""

    def reply(request: ModelRequest) -> Reply | str:
        last = request.messages[-1]
        return last.text if last.role == "tool" else Reply.tool_calls(task(member_id))

    return FunctionModel(reply)


@BOTH
async def test_a_circle_of_teams_ends(
    shared_db: Database, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERN_MAX_NESTING", "5")
    one = Team([Agent("Nobody", ScriptedModel())], "One", endless("two"), db=shared_db)
    two = Team([one], "Two", endless("one"), db=shared_db)
    one.members = [two]
    run = await carried_out(one, background)
    assert run.status is RunStatus.completed
    assert "5 runs around it" in (run.content or "")
    assert run.metrics.model_calls == 2 * 6  # Six runs, one within the other.


async def test_a_team_that_is_its_own_member_ends_at_sixteen() -> None:
    model = endless("self")
    team = Team([Agent("Nobody", ScriptedModel())], "Self", model)
    team.members = [team]
    run = await team.arun("Go")
    assert "16 runs around it" in (run.content or "")
    assert len(model.requests) == 2 * 17


async def test_agents_that_are_tools_of_each_other_end_too(shared_db: Database) -> None:
    def reply(request: ModelRequest) -> Reply | str:
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        return Reply.tool_calls((request.tools[0].name, {"input": "You."}))

    one, two = (Agent(name, FunctionModel(reply), db=shared_db) for name in ("One", "Two"))
    one.add_tool(two.as_tool())
    two.add_tool(one.as_tool())
    assert "16 runs around it" in ((await carried_out(one, background=True)).content or "")


@pytest.mark.parametrize("given", ["0", "many", "-3"])
async def test_a_depth_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_MAX_NESTING", given)
    team = Team([Agent("Worker", ScriptedModel())], "Team", leading("worker"))
    assert "KERN_MAX_NESTING" in ((await team.arun("Go")).content or "")


# Another process.

BODY = """
from kern.team import Team
from kern.tools import tool

@tool(requires_confirmation=True)
def delete(path: str) -> str:
    "Delete a file."
    say("deleted", path)
    return f"{path} is gone"

worker = Agent("Worker", agent.model, tools=[delete])
team = Team([worker], "Team", agent.model, db=db)
run = await team.arun("Go", background=True, run_id="run")
run = await team.await_run("run")
say(run.status.value)
await hear()
"""


async def test_a_pause_of_a_member_is_answered_at_the_team_in_another_process(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [
        Reply.tool_calls(task("worker")),
        Reply.tool_calls(("delete", {"path": "/a"})),
        Reply.text("It is gone."),
        Reply.text("All done"),
    ]
    deleted: list[str] = []

    @tool(requires_confirmation=True)
    def delete(path: str) -> str:
        """Delete a file."""
        deleted.append(path)
        return f"{path} is gone"

    team = Team([Agent("Worker", model, tools=[delete])], "Team", model, db=shared_db)
    process = elsewhere(BODY)
    assert await process.said() == "PAUSED"
    process.send(signal.SIGKILL)  # Nobody is left who had a part in it.
    await process.ended()
    run = await team.aget_run_output("run")
    assert run is not None
    [requirement] = run.active_requirements
    assert (requirement.member_agent_id, requirement.member_agent_name) == ("worker", "Worker")
    assert requirement.member_run_id == run.tools[0].child_run_id
    requirement.confirm()
    (await open_runtime(shared_db)).serve(team)
    await team.acontinue_run(run.run_id, requirements=run.requirements)
    run = await ended(team, "run", 15)
    assert (run.status, run.content, deleted) == (RunStatus.completed, "All done", ["/a"])
    assert len(server.requests) == 4


async def test_the_record_of_an_approval_says_which_team_asks(shared_db: Database) -> None:
    from kern.approval import approval

    @approval
    @tool(requires_confirmation=True)
    def publish() -> str:
        """Publish it."""
        return "published"

    worker = Agent("Worker", calling([("publish", {})]), tools=[publish])
    own = calling([("publish", {})], [task("worker")])
    team = Team([worker], "Desk", own, db=shared_db, tools=[publish])
    run = await team.arun("Go")
    found, count = await shared_db.aget_approvals(source_type="team", team_id="desk")  # type: ignore[attr-defined]
    assert count == 1
    assert (found[0]["source_name"], found[0]["run_id"]) == ("Desk", run.run_id)
    await shared_db.aupdate_approval(found[0]["id"], status="approved")  # type: ignore[attr-defined]
    run = await team.acontinue_run(run.run_id)
    assert run.is_paused
    found, count = await shared_db.aget_approvals(source_type="agent", agent_id="worker")  # type: ignore[attr-defined]
    assert (count, found[0]["team_id"]) == (1, None)


# A lost process.

LOST = """
from kern.team import Team

def work(step: str) -> str:
    "Work."
    say(step)
    return f"{step} is done"

team = Team([Agent("Worker", agent.model, tools=[work])], "Team", agent.model, db=db)
await team.arun("Go", run_id="run", background=BACKGROUND)
await team.await_run("run")
"""


@pytest.mark.parametrize(
    ("shared_db", "background"),
    [("postgres", False), ("sqlite", True)],
    indirect=["shared_db"],
    ids=["foreground", "background"],
)
async def test_a_member_whose_process_was_killed_goes_on_with_its_team(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    background: bool,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    held = Reply.text("Held.").held()
    server.script += [
        Reply.tool_calls(task("worker")),
        Reply.tool_calls(("work", {"step": "a"})),
        held,
        Reply.text("a was done"),
        Reply.text("All done"),
    ]
    calls: list[str] = []

    def work(step: str) -> str:
        """Work."""
        calls.append(step)
        return f"{step} is done"

    team = Team([Agent("Worker", model, tools=[work])], "Team", model, db=shared_db)
    process = elsewhere(LOST.replace("BACKGROUND", str(background)))
    assert await process.said() == "a"
    await server.wait_for_requests(3, timeout=20)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    async with asyncio.timeout(20):
        if background:
            (await open_runtime(shared_db)).serve(team)
            run = await team.await_run("run", 15, until="end")
            assert run is not None
        else:
            run = await team.acontinue_run("run")
    assert (run.status, run.content) == (RunStatus.completed, "All done")
    assert [each.result for each in run.tools] == ["a was done"]
    assert calls == [], "what was done is not done again"
    assert len(server.requests) == 5
    store = await shared_db.store()
    assert len(await store.usage_of_children("run")) == 1


async def test_members_that_a_function_names_are_told_alike_in_later_attempts(
    shared_db: Database,
) -> None:
    told: list[str] = []

    def reply(request: ModelRequest) -> Reply | str:
        told.append(request.messages[0].text)
        if len(told) == 1:
            return Reply.failed("server_error", "Away.")
        return "Done"

    names = iter(["One", "Two", "Three"])

    def members() -> list[Agent]:
        return [Agent(next(names), ScriptedModel())]

    team = Team(members, "Team", FunctionModel(reply), db=shared_db, max_attempts=2)
    run = await carried_out(team, background=True)
    assert run.status is RunStatus.completed
    assert "- one: One" in told[0]
    assert told[0] == told[1], "the model is told the same, and its prompt cache holds"
