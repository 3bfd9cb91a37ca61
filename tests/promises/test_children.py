"""Promises 4 to 6 for agents as tools: one run a call, which pauses, goes on and stops with it."""

import asyncio
import json
import signal
from dataclasses import replace
from typing import Any

import pytest
from elsewhere import Elsewhere
from load import ended
from msgspec.structs import replace as with_values

from kern.agent import Agent
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.values import Accepted
from kern.dispatch.opening import open_runtime
from kern.errors import DatabaseUnavailableError, RunStateError
from kern.execution.child_calls import ChildCall
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.record import NewRun
from kern.testing import FunctionModel, Reply, ResponsesServer
from kern.tools import tool


def calling(*calls: tuple[str, dict[str, Any]]) -> FunctionModel:
    """Return a model that asks for these calls, and then says what they returned."""

    def reply(request: ModelRequest) -> Reply | str:
        results = [each.text for each in request.messages if each.role == "tool"]
        return f"[{', '.join(results)}]" if results else Reply.tool_calls(*calls)

    return FunctionModel(reply)


DELETED: list[str] = []
"""What was deleted in a test."""


@pytest.fixture(autouse=True)
def _nothing_deleted() -> None:
    DELETED.clear()


# At the level of the module: any process may go on with what it is a tool of.
@tool(requires_confirmation=True)
def delete(path: str) -> str:
    """Delete a file."""
    DELETED.append(path)
    return f"{path} is gone"


class Tree:
    """A boss who asks some, each of whom asks one who deletes, if a person allows it.

    Attributes:
        boss: the agent at the top.
        deleters: those at the bottom, by their number.
    """

    def __init__(self, db: Database | None, branches: int = 1) -> None:
        self.models: list[FunctionModel] = []
        self.deleters = [self._deleter(number, db) for number in range(branches)]
        middle = [
            Agent(f"Middle {number}", self._asking(f"deleter_{number}"), tools=[each.as_tool()])
            for number, each in enumerate(self.deleters)
        ]
        asked = [f"middle_{number}" for number in range(branches)]
        tools = [each.as_tool() for each in middle]
        self.boss = Agent("Boss", self._asking(*asked), db=db, tools=tools)

    @property
    def model_calls(self) -> int:
        return sum(len(each.requests) for each in self.models)

    def _asking(self, *names: str) -> FunctionModel:
        return self._counted(*((name, {"input": "Do it."}) for name in names))

    def _counted(self, *calls: tuple[str, dict[str, Any]]) -> FunctionModel:
        self.models.append(calling(*calls))
        return self.models[-1]

    def _deleter(self, number: int, db: Database | None) -> Agent:
        model = self._counted(("delete", {"path": f"/{number}"}))
        return Agent(f"Deleter {number}", model, db=db, tools=[delete])


async def paused(agent: Agent, *, background: bool) -> RunOutput:
    if not background:
        run = await agent.arun("Go")
    else:
        run = await ended(agent, (await agent.arun("Go", background=True)).run_id, 15)
    assert run.is_paused, run
    return run


async def continued(agent: Agent, run: RunOutput, *, background: bool) -> RunOutput:
    run = await agent.acontinue_run(run)
    if not background:
        return run
    found = await agent.await_run(run.run_id, 15)
    assert found is not None
    return found


@pytest.fixture
def memory() -> InMemoryDb:
    """A database, for what is the same in each kind of them."""
    return InMemoryDb()


BOTH = pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])


@BOTH
async def test_a_pause_three_deep_is_the_roots_and_so_is_its_answer(
    db: Database, background: bool
) -> None:
    tree = Tree(db)
    run = await paused(tree.boss, background=background)
    [requirement] = run.active_requirements
    assert requirement.needs_confirmation
    assert requirement.tool_execution.tool_args == {"path": "/0"}
    assert requirement.member_agent_name == "Deleter 0"
    assert requirement.member_agent_id == "deleter-0"
    child = await tree.boss.aget_run_output(requirement.member_run_id or "")
    assert child is not None
    assert child.is_paused
    assert DELETED == []
    requirement.confirm()
    run = await continued(tree.boss, run, background=background)
    assert (run.status, run.content) == (RunStatus.completed, "[[[/0 is gone]]]")
    assert DELETED == ["/0"]
    assert tree.model_calls == run.metrics.model_calls == 6


async def test_without_a_database_the_paused_output_has_its_children_with_it() -> None:
    tree = Tree(None)
    run = await paused(tree.boss, background=False)
    run = RunOutput.from_dict(json.loads(json.dumps(run.to_dict())))
    run.active_requirements[0].confirm()
    run = await tree.boss.acontinue_run(run)
    assert run.content == "[[[/0 is gone]]]"
    assert (DELETED, tree.model_calls) == (["/0"], 6)


@BOTH
async def test_a_rejection_is_told_to_the_model_that_has_asked(
    memory: InMemoryDb, background: bool
) -> None:
    tree = Tree(memory)
    run = await paused(tree.boss, background=background)
    run.active_requirements[0].reject("Keep it.")
    run = await continued(tree.boss, run, background=background)
    assert run.status is RunStatus.completed
    assert "Keep it." in (run.content or "")
    assert DELETED == []
    assert "Keep it." in tree.models[0].requests[-1].messages[-1].text


@BOTH
async def test_children_side_by_side_are_answered_one_after_the_other(
    memory: InMemoryDb, background: bool
) -> None:
    tree = Tree(memory, branches=2)
    run = await paused(tree.boss, background=background)
    names = [each.member_agent_name for each in run.active_requirements]
    assert names == ["Deleter 0", "Deleter 1"]
    for number in (1, 0):
        at = [f"Deleter {number}" == each.member_agent_name for each in run.active_requirements]
        run.active_requirements[at.index(True)].confirm()
        run = await continued(tree.boss, run, background=background)
    assert run.content == "[[[/0 is gone]], [[/1 is gone]]]"
    assert sorted(DELETED) == ["/0", "/1"]


async def test_a_child_that_is_answered_itself_has_its_parents_go_on(db: Database) -> None:
    tree = Tree(db, branches=2)
    run = await paused(tree.boss, background=True)
    for deleter, requirement in zip(tree.deleters, run.active_requirements, strict=True):
        child = await deleter.aget_run_output(requirement.member_run_id or "")
        assert child is not None
        child.active_requirements[0].confirm()
        await deleter.acontinue_run(child)
    run = await ended_for_good(tree.boss, run.run_id)
    assert run.content == "[[[/0 is gone]], [[/1 is gone]]]"
    assert sorted(DELETED) == ["/0", "/1"]


async def ended_for_good(agent: Agent, run_id: str) -> RunOutput:
    run = await agent.await_run(run_id, 15, until="end")
    assert run is not None
    return run


async def test_a_child_that_is_answered_while_its_parent_pauses_has_it_go_on(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(db)
    asked_of = ChildCall._asked
    answering: list[asyncio.Task[object]] = []

    async def answer(child_id: str) -> None:
        child = await tree.deleters[0].aget_run_output(child_id)
        assert child is not None
        child.active_requirements[0].confirm()
        await tree.deleters[0].acontinue_run(child)

    def asked(self: ChildCall, child: RunOutput) -> object:
        # The middle one is about to pause, and nobody has paused above it.
        if child.agent_id == "deleter-0":
            answering.append(asyncio.create_task(answer(child.run_id)))
        return asked_of(self, child)

    monkeypatch.setattr(ChildCall, "_asked", asked)
    submitted = await tree.boss.arun("Go", background=True)
    run = await ended_for_good(tree.boss, submitted.run_id)
    await asyncio.gather(*answering)
    assert (run.content, DELETED) == ("[[[/0 is gone]]]", ["/0"])


@BOTH
async def test_a_child_may_pause_again_and_again(memory: InMemoryDb, background: bool) -> None:
    done: list[int] = []

    @tool(requires_confirmation=True)
    def step(number: int) -> str:
        """Do a step."""
        done.append(number)
        return f"step {number}"

    def reply(request: ModelRequest) -> Reply | str:
        results = [each.text for each in request.messages if each.role == "tool"]
        if len(results) == 3:
            return ", ".join(results)
        return Reply.tool_calls(("step", {"number": len(results)}))

    inner = Agent("Worker", FunctionModel(reply), tools=[step])
    boss = Agent("Boss", calling(("worker", {"input": "Go"})), db=memory, tools=[inner.as_tool()])
    run = await paused(boss, background=background)
    for number in range(3):
        assert run.is_paused
        assert run.active_requirements[0].tool_execution.tool_args == {"number": number}
        run.active_requirements[0].confirm()
        run = await continued(boss, run, background=background)
    assert run.content == "[step 0, step 1, step 2]"
    assert done == [0, 1, 2]


@BOTH
async def test_a_cancel_of_a_paused_parent_ends_what_is_paused_below(
    db: Database, background: bool
) -> None:
    tree = Tree(db)
    run = await paused(tree.boss, background=background)
    assert await tree.boss.acancel_run(run.run_id)
    child = await ended(tree.boss, run.active_requirements[0].member_run_id or "", 15)
    assert child.status is RunStatus.cancelled
    assert (await ended_for_good(tree.boss, run.run_id)).status is RunStatus.cancelled


@BOTH
async def test_a_stream_tells_of_the_pause_and_goes_on_after_it(
    memory: InMemoryDb, background: bool
) -> None:
    tree = Tree(memory)
    options: dict[str, Any] = {"stream": True, "stream_events": True, "background": background}
    first = [each async for each in tree.boss.arun("Go", **options)]
    assert [each.run_id for each in first if each.event is RunEvent.run_paused][-1] == (
        first[0].run_id
    )
    assert first[-1].event is RunEvent.run_paused
    [requirement] = first[-1].requirements
    assert requirement.member_agent_name == "Deleter 0"
    requirement.confirm()
    continuing = tree.boss.acontinue_run(
        first[0].run_id, requirements=[requirement], stream=True, stream_events=True
    )
    second = [each async for each in continuing]
    assert second[-1].event is RunEvent.run_completed
    assert second[-1].content == "[[[/0 is gone]]]"
    seen = [(each.run_id, each.seq) for each in (*first, *second)]
    assert len(seen) == len({*seen}), "an event was told twice"
    ends = [each.event for each in second if each.event is RunEvent.run_completed]
    assert len(ends) == 3


async def test_who_reads_on_after_a_pause_gets_all_that_came_after_it_three_deep(
    memory: InMemoryDb,
) -> None:
    tree = Tree(memory)
    run = await paused(tree.boss, background=True)
    first = [each async for each in tree.boss.astream_run(run.run_id)]
    run.active_requirements[0].confirm()
    await continued(tree.boss, run, background=True)
    last = first[-1].seq  # That of the pause, which is the run's own.
    second = [each async for each in tree.boss.astream_run(run.run_id, after=last)]
    seen = [(each.run_id, each.seq) for each in (*first, *second)]
    assert len(seen) == len({*seen}), "an event was told twice"
    whole = [each async for each in tree.boss.astream_run(run.run_id)]
    assert {*seen} == {(each.run_id, each.seq) for each in whole}
    names = {each.agent_name for each in whole}
    assert names == {"Boss", "Middle 0", "Deleter 0"}


async def test_who_reads_on_after_a_pause_is_told_that_children_are_cancelled(
    memory: InMemoryDb,
) -> None:
    tree = Tree(memory)
    run = await paused(tree.boss, background=True)
    first = [each async for each in tree.boss.astream_run(run.run_id)]
    assert await tree.boss.acancel_run(run.run_id)
    rest = [each async for each in tree.boss.astream_run(run.run_id, after=first[-1].seq)]
    assert {each.event for each in rest} == {RunEvent.run_cancelled}
    assert [each.agent_name for each in rest][-1] == "Boss", "the run's own end is the last"
    assert {each.agent_name for each in rest} == {"Boss", "Middle 0", "Deleter 0"}


async def test_what_is_still_open_was_answered_by_nobody(memory: InMemoryDb) -> None:
    tree = Tree(memory, branches=2)
    run = await paused(tree.boss, background=True)
    one, other = run.requirements
    one.confirm()
    await tree.boss.acontinue_run(run.run_id, requirements=[one], by="ada")
    run = await ended(tree.boss, run.run_id, 15)
    assert [each.id for each in run.active_requirements] == [other.id]
    with pytest.raises(RunStateError, match="answered by ada"):
        await tree.boss.acontinue_run(run.run_id, requirements=[one])
    tool_execution = with_values(other.tool_execution, arguments="{}")
    other = replace(other, tool_execution=tool_execution)
    other.confirm()
    with pytest.raises(RunStateError) as refused:
        await tree.boss.acontinue_run(run.run_id, requirements=[other])
    assert "for another call" in str(refused.value)
    assert "answered by" not in str(refused.value)


async def test_a_paused_child_that_is_cancelled_itself_has_its_parents_go_on(db: Database) -> None:
    tree = Tree(db)
    run = await paused(tree.boss, background=True)
    assert await tree.deleters[0].acancel_run(run.active_requirements[0].member_run_id or "")
    run = await ended_for_good(tree.boss, run.run_id)
    assert run.status is RunStatus.completed
    assert "was cancelled" in (run.content or "")
    assert DELETED == []


async def test_a_pause_that_follows_the_cancel_of_a_child_is_shown_at_the_top(db: Database) -> None:
    tree = Tree(db)
    deleter = tree.deleters[0].as_tool()
    asks = Reply.tool_calls(("deleter_0", {"input": "Do it."}))

    def reply(request: ModelRequest) -> Reply | str:
        answers = sum(each.role == "assistant" for each in request.messages)
        return (asks, Reply.tool_calls(("delete", {"path": "/itself"})), "Done.")[answers]

    middle = Agent("Middle", FunctionModel(reply), tools=[deleter, delete])
    boss = Agent("Boss", calling(("middle", {"input": "Do it."})), db=db, tools=[middle.as_tool()])
    first = await paused(boss, background=True)
    await tree.deleters[0].acancel_run(first.active_requirements[0].member_run_id or "")
    async with asyncio.timeout(15):
        while [each.tool_execution.tool_args for each in first.requirements] != [
            {"path": "/itself"}
        ]:
            first = await ended(boss, first.run_id, 15)
    first.requirements[0].confirm()
    run = await continued(boss, first, background=True)
    assert (run.content, DELETED) == ("[Done.]", ["/itself"])


BODY = """
def work(step: str) -> str:
    "Work."
    say(step)
    return f"{step} is done"

worker = Agent("Worker", agent.model, tools=[work])
boss = Agent("Boss", agent.model, db=db, tools=[worker.as_tool()])
await boss.arun("Go", run_id="run", background=BACKGROUND)
await boss.await_run("run")
"""


@pytest.mark.parametrize(
    ("shared_db", "background"),
    [("sqlite", False), ("postgres", True)],
    indirect=["shared_db"],
    ids=["foreground", "background"],
)
async def test_a_child_whose_process_was_killed_goes_on_with_its_parent(
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
        Reply.tool_calls(("worker", {"input": "Do it."})),
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

    worker = Agent("Worker", model, tools=[work])
    boss = Agent("Boss", model, db=shared_db, tools=[worker.as_tool()])
    process = elsewhere(BODY.replace("BACKGROUND", str(background)))
    assert await process.said() == "a"
    await server.wait_for_requests(3, timeout=20)
    process.send(signal.SIGKILL)
    await process.ended()
    held.release()
    async with asyncio.timeout(20):
        if background:
            (await open_runtime(shared_db)).serve(boss)
            run = await ended_for_good(boss, "run")
        else:
            run = await boss.acontinue_run("run")
    assert (run.status, run.content) == (RunStatus.completed, "All done")
    assert [each.result for each in run.tools] == ["a was done"]
    assert calls == [], "what was done is not done again"
    assert len(server.requests) == 5
    store = await shared_db.store()
    assert len(await store.usage_of_children("run")) == 1


async def test_a_child_is_submitted_until_the_database_is_there(
    memory: InMemoryDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tries = await memory.store(), 0
    submit = store.submit

    async def away(run: NewRun) -> Accepted | None:
        nonlocal tries
        tries += run.parent_run_id is not None
        if run.parent_run_id is None or tries > 2:
            return await submit(run)
        raise DatabaseUnavailableError("It is away.", address="memory")

    monkeypatch.setattr(store, "submit", away)
    worker = Agent("Worker", FunctionModel(lambda _: "Done."))
    ask = calling(("ask", {"input": "Go"}))
    boss = Agent("Boss", ask, tools=[worker.as_tool("ask")], db=memory)
    await boss.arun("Go", background=True, run_id="run")
    run = await ended(boss, "run")
    assert (run.status, run.content, tries) == (RunStatus.completed, "[Done.]", 3)
