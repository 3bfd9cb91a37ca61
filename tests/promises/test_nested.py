"""Promise 14 for runs within runs: no arrangement of them deadlocks; and promise 6: a cancelled
tree is cancelled as a whole, also what is submitted after it."""

import asyncio
import random
import threading
import time
from collections import defaultdict
from typing import Any

import pytest
from load import all_ended, ended, status_of
from nested import delegates

from kern.agent import Agent
from kern.aio import threads
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import FunctionModel, Reply, ResponsesServer
from kern.tools import tool


def tree(db: Database, model: OpenAIResponses, depth: int, **options: Any) -> Agent:
    """Return an agent whose runs each have a run of the next one, ``depth`` deep in all."""
    if depth == 1:
        return Agent("Level 1", model, db=db, **options)
    below = tree(db, model, depth - 1, **options)

    async def delegate() -> str:
        """Have somebody else do it."""
        child = await below.arun("Do it.", background=True)
        run = await below.await_run(child.run_id)
        assert run is not None
        return f"{run.status}: {run.content}"

    return Agent(f"Level {depth}", model, db=db, tools=[delegate], **options)


async def runs_of(agent: Agent, count: int, timeout: float = 40.0) -> set[tuple[str, str | None]]:
    """Return how so many runs have ended, and what their tools were told."""
    runs = [await agent.arun(f"Run {number}", background=True) for number in range(count)]
    return {
        (run.status, run.tools[0].result if run.tools else None)
        for run in await all_ended(agent, runs, timeout)
    }


DONE = {(RunStatus.completed, "COMPLETED: Done.")}


@pytest.mark.parametrize(("parents", "depth"), [(2, 2), (3, 3), (10, 3)])
async def test_parents_that_fill_the_process_have_their_children_executed(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    parents: int,
    depth: int,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "2")
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    server.default = delegates
    assert await runs_of(tree(db, model, depth), parents) == DONE


@pytest.mark.parametrize(
    "limit", ["max_concurrent_runs", "max_concurrent_runs_per_user"], ids=["agent", "user"]
)
async def test_a_run_whose_child_is_of_its_own_agent_and_user_goes_on_at_the_limit(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    server.default = delegates

    async def delegate(context: RunContext) -> str:
        """Have oneself do it."""
        if context.metadata is not None:
            return "at the bottom"
        child = await agent.arun("Do it.", background=True, user_id="ada", metadata={"is": "child"})
        run = await agent.await_run(child.run_id)
        assert run is not None
        return f"{run.status}: {run.content}"

    options: dict[str, Any] = {limit: 1}
    agent = Agent("Self", model, db=db, tools=[delegate], **options)
    runs = [await agent.arun("Begin", background=True, user_id="ada") for _ in range(2)]
    ends = await all_ended(agent, runs)
    assert [run.tools[0].result for run in ends] == ["COMPLETED: Done."] * 2


async def test_parents_that_poll_have_their_children_executed(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "2")
    monkeypatch.setenv("KERN_HEARTBEAT", "0.5")
    server.default = delegates
    child = Agent("Child", model, db=db)

    async def delegate() -> str:
        """Have somebody else do it, and look again and again."""
        submitted = await child.arun("Do it.", background=True)
        while not (status := await status_of(child, submitted.run_id)).is_terminal:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        run = await child.aget_run_output(submitted.run_id)
        assert run is not None
        return f"{status}: {run.content}"

    assert await runs_of(Agent("Parent", model, db=db, tools=[delegate]), 4) == DONE


async def test_a_time_limit_counts_the_call_and_not_the_wait_for_a_thread(
    model: OpenAIResponses, server: ResponsesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.Threads(usual=1, patience=60))
    server.script.append(Reply.tool_calls(("doze", {}), ("blink", {})))

    def doze() -> str:
        """Have the only thread for longer than the other call may take."""
        time.sleep(2.5)
        return "rested"

    @tool(timeout=2)
    def blink() -> str:
        """Take no time."""
        return "blinked"

    run = await Agent("Tester", model, tools=[doze, blink]).arun("Hi")
    assert [each.result for each in run.tools] == ["rested", "blinked"]


@pytest.mark.parametrize(
    "trees", [60, pytest.param(400, marks=[pytest.mark.nightly, pytest.mark.timeout(300)])]
)
async def test_no_run_of_a_cancelled_tree_completes(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    monkeypatch: pytest.MonkeyPatch,
    trees: int,
) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    # The lowest level answers long after its root was cancelled.
    server.default = lambda body: delegates(body).slow(0 if body.get("tools") else 20)
    dice = random.Random(1)
    reached: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def level(depth: int) -> Agent:
        below = level(depth - 1) if depth > 1 else None

        async def delegate(context: RunContext) -> str:
            """Have somebody else do it."""
            assert below is not None
            child = f"{context.run_id}/{depth - 1}"
            reached[child].set()
            await below.arun("Do it.", background=True, run_id=child)
            await below.await_run(child)
            return "done"

        return Agent(f"Level {depth}", model, db=db, tools=[delegate] if below else [])

    root = level(3)

    async def one(name: str) -> None:
        await root.arun("Begin", background=True, run_id=name)
        async with asyncio.timeout(20):
            await reached[name + dice.choice(["/2", "/2/1"])].wait()
        await asyncio.sleep(dice.uniform(0, 0.02))
        assert await root.acancel_run(name)
        assert (await ended(root, name, 20)).status is RunStatus.cancelled

    names = [f"tree-{number}" for number in range(trees)]
    for first in range(0, trees, 20):
        await asyncio.gather(*(one(name) for name in names[first : first + 20]))
    below = [name + suffix for name in names for suffix in ("/2", "/2/1")]
    found = [run for name in below if (run := await root.await_run(name, timeout=10)) is not None]
    assert len(found) > trees / 10, "hardly any tree had grown"
    escaped = [run.run_id for run in found if run.status is not RunStatus.cancelled]
    assert escaped == []


@pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])
async def test_what_a_thread_submits_after_the_cancel_of_its_run_is_cancelled(
    db: Database, model: OpenAIResponses, server: ResponsesServer, background: bool
) -> None:
    server.script.append(Reply.tool_calls(("delegate", {})))
    child = Agent("Child", model, db=db)
    began, cancelled, submitted = threading.Event(), threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def delegate() -> str:
        """Have somebody else do it, late."""
        began.set()
        cancelled.wait(10)
        try:
            child.run("Do it.", background=background, run_id="late")
        except BaseException as error:
            errors.append(error)
        submitted.set()
        return "done"

    parent = Agent("Parent", model, db=db, tools=[delegate])
    await parent.arun("Begin", background=True, run_id="parent")
    assert await asyncio.to_thread(began.wait, 10)
    assert await parent.acancel_run("parent")
    assert (await ended(parent, "parent")).status is RunStatus.cancelled
    cancelled.set()
    assert await asyncio.to_thread(submitted.wait, 10)
    assert errors == []
    assert (await ended(child, "late", 20)).status is RunStatus.cancelled
    assert len(server.requests) == 1


async def test_what_a_task_submits_after_the_cancel_of_its_run_is_cancelled(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script.append(Reply.tool_calls(("delegate", {})))
    child = Agent("Child", model, db=db)
    began, cancelled = asyncio.Event(), asyncio.Event()
    left_behind: list[asyncio.Task[object]] = []

    async def late() -> object:
        await cancelled.wait()
        return await child.arun("Do it.", background=True, run_id="late")

    async def delegate() -> str:
        """Leave something behind that has somebody else do it."""
        left_behind.append(asyncio.create_task(late()))
        began.set()
        await asyncio.Event().wait()
        return "never"

    parent = Agent("Parent", model, db=db, tools=[delegate])
    await parent.arun("Begin", background=True, run_id="parent")
    await asyncio.wait_for(began.wait(), 10)
    assert await parent.acancel_run("parent")
    assert (await ended(parent, "parent")).status is RunStatus.cancelled
    cancelled.set()
    await left_behind[0]
    assert (await ended(child, "late", 20)).status is RunStatus.cancelled
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("db", "place"),
    [
        *((each, "instructions") for each in ("postgres", "sqlite", "memory")),
        *(("memory", "tools"), ("sqlite", "dependencies"), ("postgres", "knowledge_retriever")),
    ],
    indirect=["db"],
)
async def test_a_function_of_the_context_may_wait_for_a_run_though_all_slots_are_taken(
    db: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("KERN_CONCURRENCY", "1")
    monkeypatch.setenv("KERN_HEARTBEAT", "1")
    child = Agent("Child", FunctionModel(lambda _: "Looked."), db=db)
    begun: list[str] = []

    async def look() -> str:
        run = await child.arun("Look.", background=True)
        begun.append(run.run_id)
        await child.await_run(run.run_id)
        return "Looked."

    async def retrieve(query: str) -> list[str]:
        return [await look()]

    async def make() -> list[object]:
        await look()
        return []

    given: dict[str, object] = {
        "instructions": look,
        "tools": make,
        "dependencies": {"found": look},
        "knowledge_retriever": retrieve,
    }
    options: Any = {place: given[place], "add_knowledge_to_context": place == "knowledge_retriever"}
    parent = Agent("Parent", FunctionModel(lambda _: "Done."), db=db, **options)
    runs = [await parent.arun("Go", background=True) for _ in range(2)]
    ended = await all_ended(parent, runs, 15)
    assert [each.status for each in ended] == [RunStatus.completed] * 2
    store = await db.store()
    records = [await store.get(run_id) for run_id in begun]
    assert {each.parent_run_id for each in records if each} == {run.run_id for run in runs}
