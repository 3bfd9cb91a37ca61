"""Promise 17: state changes with the step that changed it, and different keys lose nothing.

The kills at every step are in test_crash_at_every_step.py: half of its runs have a state.
"""

import asyncio
import signal
from collections.abc import Callable

import pytest
from elsewhere import Elsewhere
from freezing import freeze
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.execution import retrying
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

RUNS, TURNS = 3, 4

COUNTING = """
from kern.run.base import RunContext

def count(context: RunContext, key: str) -> str:
    "Count."
    state = context.session_state
    state[key] = state.get(key, 0) + 1
    state["last"] = key
    return "counted"

agent = Agent("Counter", OpenAIResponses("test-model", max_retries=0), db=db, tools=[count])
name = await hear()
await asyncio.gather(*(
    agent.arun(f"{name} {number}", session_id="s") for number in range(RUNS)
))
say("done")
""".replace("RUNS", str(RUNS))


def script(server: ResponsesServer, *replies: Reply) -> None:
    """Have the model answer this next."""
    server.script.extend(replies)


def counting(body: dict[str, object]) -> Reply:
    """Have a run count in its own key in every turn, and then end."""
    items = body["input"]
    assert isinstance(items, list)
    key = items[0]["content"]
    if sum(item.get("type") == "function_call" for item in items) == TURNS:
        return Reply.text("Done.")
    return Reply.tool_calls(("count", {"key": key}))


async def test_parallel_runs_in_two_processes_lose_nothing(
    shared_db: Database, server: ResponsesServer, model: OpenAIResponses, elsewhere: Elsewhere
) -> None:
    server.default = counting
    processes = [elsewhere(COUNTING), elsewhere(COUNTING)]
    for number, process in enumerate(processes):
        process.tell(f"process-{number}")
    for process in processes:
        assert await process.said(60) == "done"
    keys = [f"process-{number} {run}" for number in range(2) for run in range(RUNS)]
    state = await Agent("Counter", model, db=shared_db).aget_session_state("s")
    assert state.pop("last") in keys
    assert state == dict.fromkeys(keys, TURNS)


KILLED = """
from kern.run.base import RunContext

def add(context: RunContext, item: str) -> str:
    "Add an item."
    context.session_state["items"].append(item)
    context.session_state["last"] = item
    return f"{item} added"

async def hang(context: RunContext) -> str:
    "Change the state, and hang."
    context.session_state["items"].append("hung")
    context.session_state["last"] = "hung"
    say("hangs")
    await asyncio.sleep(600)

agent = Agent(
    "Keeper", OpenAIResponses("test-model", max_retries=0), db=db, tools=[add, hang],
    session_state={"items": [], "last": None},
)
await agent.arun("Go", background=True, run_id="run", session_id="s")
await agent.await_run("run")
say("stopped")
"""


def keeper(db: Database, model: OpenAIResponses, *tools: Callable[..., object]) -> Agent:
    """Return the agent of the killed process, with these tools in place of the one that hangs."""

    def add(context: RunContext, item: str) -> str:
        """Add an item."""
        assert context.session_state is not None
        context.session_state["items"].append(item)
        context.session_state["last"] = item
        return f"{item} added"

    state: dict[str, object] = {"items": [], "last": None}
    return Agent("Keeper", model, db=db, tools=[add, *tools], session_state=state)


async def test_a_call_that_is_repeated_begins_from_the_state_before_it(
    shared_db: Database, server: ResponsesServer, model: OpenAIResponses, elsewhere: Elsewhere
) -> None:
    """And the call beside it, whose result was committed, has committed what it changed."""
    script(
        server,
        Reply.tool_calls(("add", {"item": "first"})),
        Reply.tool_calls(("hang", {}), ("add", {"item": "beside"})),
        Reply.text("Done."),
    )
    process = elsewhere(KILLED)
    assert await process.said() == "hangs"
    store = await shared_db.store()
    async with asyncio.timeout(30):
        while (await store.states.of("s")).texts.get("last") != '"beside"':  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send(signal.SIGKILL)
    await process.ended()
    seen: list[object] = []

    def hang(context: RunContext) -> str:
        """Change the state, and hang."""
        assert context.session_state is not None
        seen.append([*context.session_state["items"]])
        context.session_state["items"].append("again")
        context.session_state["last"] = "again"
        return "did not hang"

    agent = keeper(shared_db, model, hang)
    assert await agent.aget_session_state("s") == {"items": ["first", "beside"], "last": "beside"}
    await expire(shared_db, "run")
    (await open_runtime(shared_db)).serve(agent)
    run = await agent.await_run("run", timeout=30)
    assert run is not None
    assert run.content == "Done."
    assert seen == [["first", "beside"]]
    # The call beside it comes later in the model's answer, so its word is the last one.
    expected = {"items": ["first", "beside", "again"], "last": "beside"}
    assert run.session_state == expected
    assert await agent.aget_session_state("s") == expected


async def test_what_a_stale_attempt_changes_is_refused_with_its_step(
    shared_db: Database, server: ResponsesServer, model: OpenAIResponses, elsewhere: Elsewhere
) -> None:
    """The first process is paused in its tool until another one has ended the run."""
    script(server, Reply.tool_calls(("hang", {})), Reply.text("Done."))
    process = elsewhere(KILLED.replace("await asyncio.sleep(600)", "return await hear()", 1))
    assert await process.said() == "hangs"
    await freeze(process, shared_db)
    try:
        await expire(shared_db, "run")

        def hang(context: RunContext) -> str:
            """Change the state, and hang."""
            assert context.session_state is not None
            context.session_state["last"] = "in time"
            return "in time"

        agent = keeper(shared_db, model, hang)
        (await open_runtime(shared_db)).serve(agent)
        run = await agent.await_run("run", timeout=30)
        assert run is not None
        assert run.content == "Done."
    finally:
        process.send(signal.SIGCONT)
    process.tell("go on")
    expected = {"items": [], "last": "in time"}
    assert run.session_state == expected
    assert await process.said() == "stopped"
    assert await agent.aget_session_state("s") == expected


async def test_a_cancelled_and_a_failed_run_keep_what_they_have_committed(
    db: Database, server: ResponsesServer, model: OpenAIResponses
) -> None:
    hangs = asyncio.Event()

    async def hang(context: RunContext) -> str:
        """Change the state, and hang."""
        assert context.session_state is not None
        context.session_state["last"] = "never"
        hangs.set()
        await asyncio.sleep(600)
        return "never"

    script(
        server,
        Reply.tool_calls(("add", {"item": "a"})),
        Reply.tool_calls(("hang", {})),
        Reply.tool_calls(("add", {"item": "b"})),
        Reply.http_error(400, "It is broken."),
    )
    agent = keeper(db, model, hang)
    cancelled = await agent.arun("Go", background=True, session_id="s")
    await asyncio.wait_for(hangs.wait(), 30)
    assert await agent.acancel_run(cancelled.run_id)
    ended = await agent.await_run(cancelled.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.cancelled
    assert ended.session_state == {"items": ["a"], "last": "a"}
    failed = await agent.arun("Go", background=True, session_id="s")
    ended = await agent.await_run(failed.run_id, timeout=30)
    assert ended is not None
    assert ended.status is RunStatus.error
    assert await agent.aget_session_state("s") == {"items": ["a", "b"], "last": "b"}


async def test_what_a_failed_attempt_has_changed_is_there_for_the_next_one(
    db: Database,
    server: ResponsesServer,
    model: OpenAIResponses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what its run was given, of which nothing was written yet when its first call failed."""
    monkeypatch.setattr(retrying, "_FIRST", 0.1)
    script(
        server,
        Reply.http_error(500),
        Reply.tool_calls(("add", {"item": "a"})),
        Reply.http_error(500),
        Reply.text("Done."),
    )
    agent = keeper(db, model)
    given: dict[str, object] = {"given": True}
    run = await agent.arun(
        "Go", background=True, session_id="s", session_state=given, max_attempts=3
    )
    ended = await agent.await_run(run.run_id, timeout=50)
    assert ended is not None
    assert (ended.content, ended.attempt) == ("Done.", 3)
    expected = {"items": ["a"], "last": "a", "given": True}
    assert ended.session_state == expected
    assert await agent.aget_session_state("s") == expected


async def test_a_run_that_waits_for_a_person_goes_on_with_the_state_of_its_tools(
    db: Database, server: ResponsesServer, model: OpenAIResponses
) -> None:
    script(
        server,
        Reply.tool_calls(("add", {"item": "a"}), ("sign", {})),
        Reply.tool_calls(("add", {"item": "c"})),
        Reply.text("Done."),
    )

    @tool(requires_confirmation=True)
    def sign(context: RunContext) -> str:
        """Sign the list."""
        assert context.session_state is not None
        context.session_state["items"].append("signed")
        return "signed"

    agent = keeper(db, model, sign)
    run = await agent.arun("Go", background=True, session_id="s")
    paused = await agent.await_run(run.run_id, timeout=30)
    assert paused is not None
    assert paused.is_paused
    assert paused.session_state == {"items": ["a"], "last": "a"}
    assert await agent.aget_session_state("s") == paused.session_state
    await agent.aupdate_session_state({"meanwhile": True}, "s")
    paused.requirements[0].confirm()
    await agent.acontinue_run(run.run_id, requirements=paused.requirements)
    ended = await agent.await_run(run.run_id, timeout=30)
    assert ended is not None
    expected = {"items": ["a", "signed", "c"], "last": "c", "meanwhile": True}
    assert ended.session_state == expected
    assert await agent.aget_session_state("s") == expected


async def test_a_fork_begins_with_the_state_of_its_steps_in_a_session_of_its_own(
    db: Database, server: ResponsesServer, model: OpenAIResponses
) -> None:
    script(
        server,
        Reply.tool_calls(("add", {"item": "a"})),
        Reply.tool_calls(("add", {"item": "b"})),
        Reply.text("Done."),
    )
    agent = keeper(db, model)
    run = await agent.arun("Go", background=True, session_id="s")
    assert (await agent.await_run(run.run_id, timeout=30)) is not None
    events = [event async for event in agent.astream_run(run.run_id)]
    first = next(each.seq for each in events if each.tool is not None and each.tool.result)
    script(server, Reply.tool_calls(("add", {"item": "z"})), Reply.text("Done."))
    fork = await agent.acontinue_run(run.run_id, from_seq=first, session_id="other")
    ended = await agent.await_run(fork.run_id, timeout=30)
    assert ended is not None
    assert ended.session_state == {"items": ["a", "z"], "last": "z"}
    assert await agent.aget_session_state("other") == ended.session_state
    assert await agent.aget_session_state("s") == {"items": ["a", "b"], "last": "b"}
