"""A run that another has started in the background: its end is told once, whatever dies when."""

import asyncio

import pytest
from in_background import (
    START,
    STARTED,
    TOLD,
    Company,
    child_of,
    children_of,
    delivered,
    follower_of,
    reports_in,
    times_told,
)
from load import ended
from stores import execute

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.dispatch.telling import tell_parent
from kern.execution.reports import follow_up, follow_up_id
from kern.models.base import ModelRequest
from kern.run.base import RunStatus
from kern.run.budget import Budget
from kern.run.fold import fold
from kern.run.record import PARENT
from kern.run.steps import TOLD_VERSION
from kern.testing import FunctionModel, Reply, ScriptedModel
from kern.tools import tool
from kern.webhooks import sender


@pytest.fixture
def memory() -> InMemoryDb:
    """A database, for what is the same in each kind of them."""
    return InMemoryDb()


async def test_an_end_is_told_in_the_next_turn_of_a_run_that_is_at_work(db: Database) -> None:
    company, store = Company(db), await db.store()
    company.may_end.clear()
    run = await company.boss.arun("Go", background=True)
    while not company.answers:  # noqa: ASYNC110 # its model is asked for an answer
        await asyncio.sleep(0.01)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    company.may_end.set()
    run = await ended(company.boss, run.run_id)
    assert (run.status, run.content) == (RunStatus.completed, f"{TOLD}29 m")
    assert [each.text for each in run.messages if each.role == "assistant"] == [
        *("", STARTED, f"{TOLD}29 m")
    ]
    assert await times_told(store, child) == (1, 0)
    await delivered(store)
    assert await times_told(store, child) == (1, 0)
    record = await store.get(run.run_id)
    assert record is not None
    assert record.journal_version == TOLD_VERSION
    [call] = run.tools
    assert call.child_run_id == child.run_id
    assert (
        call.result
        == f"Started: run {child.run_id} of Researcher. Go on; you are told how it ends."
    )


@pytest.mark.parametrize("background", [True, False], ids=["background", "foreground"])
async def test_an_end_after_that_of_the_run_is_told_by_one_that_follows(
    db: Database, background: bool
) -> None:
    company, store = Company(db), await db.store()
    run = await company.boss.arun(
        "Go", background=background, user_id="ada", metadata={"a": 1, "kern.x": 2}
    )
    run = await ended(company.boss, run.run_id)
    assert run.content == STARTED
    [child] = await children_of(store, run.run_id)
    assert not child.status.is_terminal
    assert (child.session_id, child.user_id, child.webhook) == (run.session_id, "ada", PARENT)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    follower = await follower_of(company.boss, store, child)
    assert (follower.status, follower.content) == (RunStatus.completed, f"{TOLD}29 m")
    assert (follower.agent_id, follower.session_id) == ("boss", run.session_id)
    assert (follower.user_id, follower.parent_run_id) == ("ada", None)
    assert follower.metadata == {"a": 1}
    assert "How high is it?" in follower.messages[0].text
    await delivered(store)
    assert await times_told(store, child) == (0, 1)


async def test_followers_are_in_the_order_of_the_session(memory: InMemoryDb) -> None:
    company, store = Company(memory), await memory.store()
    run = await company.boss.arun("Go", background=True, session_id="s")
    await ended(company.boss, run.run_id)
    company.may_end.clear()
    later = await company.boss.arun(
        [{"role": "user", "content": "<answer>\n<background_run >\n</answer>"}],
        background=True,
        session_id="s",
    )
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    follower_id = follow_up_id(child.run_id, child.attempt)
    async with asyncio.timeout(20):
        while (record := await store.get(follower_id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert record.waiting
    company.may_end.set()
    await ended(company.boss, later.run_id)
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}29 m"


async def test_an_end_that_comes_with_the_answer_is_told_at_once(memory: InMemoryDb) -> None:
    store = await memory.store()
    run_id = ""

    async def direct(request: ModelRequest) -> Reply | str:
        if reports := reports_in(request):
            return f"{len(reports)}"
        if all(each.role != "tool" for each in request.messages):
            return START
        await child_of(store, run_id)
        return STARTED

    company = Company(memory)
    company.may_answer.set()
    company.boss.model = FunctionModel(direct)
    run = await company.boss.arun("Go", background=True, run_id="run")
    run_id = run.run_id
    run = await ended(company.boss, run_id)
    assert run.content == "1"
    await delivered(store)
    assert await times_told(store, await child_of(store, run_id)) == (1, 0)


async def test_who_may_not_ask_the_model_again_is_followed(memory: InMemoryDb) -> None:
    store = await memory.store()
    company = Company(memory, max_turns=2)
    company.may_end.clear()
    run = await company.boss.arun("Go", background=True)
    while not company.answers:  # noqa: ASYNC110 # its model is asked for an answer
        await asyncio.sleep(0.01)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    company.may_end.set()
    run = await ended(company.boss, run.run_id)
    assert (run.status, run.content) == (RunStatus.completed, STARTED)
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}29 m"
    assert await times_told(store, child) == (0, 1)


async def test_whoever_delivers_and_however_often_one_run_follows(db: Database) -> None:
    company, store = Company(db), await db.store()
    run = await company.boss.arun("Go", background=True)
    await ended(company.boss, run.run_id)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    told = await asyncio.gather(*(tell_parent(store, child.run_id, 0) for _ in range(8)))
    assert told == [None] * 8
    await follower_of(company.boss, store, child)
    await delivered(store)
    assert len(await company.boss.alist_runs()) == 2
    assert await times_told(store, child) == (0, 1)


async def test_a_run_that_failed_and_goes_on_is_not_told_what_its_follower_was(
    db: Database,
) -> None:
    company, store = Company(db), await db.store()
    fails = True

    def direct(request: ModelRequest) -> Reply | str:
        if reports := reports_in(request):
            return f"{TOLD}{len(reports)}"
        if all(each.role != "tool" for each in request.messages):
            return START
        return Reply.http_error(400, "No.") if fails else STARTED

    company.boss.model = FunctionModel(direct)
    run = await company.boss.arun("Go", background=True)
    run = await ended(company.boss, run.run_id)
    assert run.status is RunStatus.error
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    follower = await follower_of(company.boss, store, child)
    assert follower.content == f"{TOLD}1"
    fails = False
    await company.boss.aretry_run(run.run_id)
    run = await ended(company.boss, run.run_id)
    assert (run.status, run.content) == (RunStatus.completed, STARTED)
    assert await times_told(store, child) == (0, 1)


async def test_who_has_used_up_a_budget_is_told_once_there_is_room(
    memory: InMemoryDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_FIRST_TROUBLE", 0.05)
    company, store = Company(memory), await memory.store()
    await memory.aset_budget(Budget("ada", tokens=1_000_000))
    run = await company.boss.arun("Go", background=True, user_id="ada")
    await ended(company.boss, run.run_id)
    await memory.aset_budget(Budget("ada", tokens=1))
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    tried = "SELECT tries FROM {webhooks} WHERE tries > 0 AND error LIKE '%budget%'"
    async with asyncio.timeout(20):
        while not await execute(store, tried):  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.02)
    assert await times_told(store, child) == (0, 0)
    await memory.aset_budget(Budget("ada", tokens=1_000_000))
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}29 m"


async def test_nothing_follows_a_run_that_has_gone_on_meanwhile(db: Database) -> None:
    company, store = Company(db), await db.store()
    run = await company.boss.arun("Go", background=True)
    await ended(company.boss, run.run_id)
    parent = await store.get(run.run_id, with_input=True)
    [child] = await children_of(store, run.run_id)
    assert parent is not None
    follower = follow_up(parent, child)
    assert await store.follow(follower, parent.run_id, parent.attempt + 1) is None
    assert await store.follow(follower, "another", parent.attempt) is None
    assert await store.get(follower.run_id) is None
    assert await store.follow(follower, parent.run_id, parent.attempt) is not None
    assert await store.follow(follower, parent.run_id, parent.attempt) is None, "its id is in use"
    company.may_answer.set()


async def test_a_run_that_is_cancelled_takes_its_children_with_it(db: Database) -> None:
    company, store = Company(db), await db.store()
    company.may_end.clear()
    run = await company.boss.arun("Go", background=True)
    while not company.answers:  # noqa: ASYNC110 # its model is asked for an answer
        await asyncio.sleep(0.01)
    assert await company.boss.acancel_run(run.run_id)
    child = await child_of(store, run.run_id)
    assert child.status is RunStatus.cancelled
    await delivered(store)
    assert await times_told(store, child) == (0, 0)


async def test_a_run_in_the_foreground_whose_caller_leaves_takes_its_children_with_it(
    memory: InMemoryDb,
) -> None:
    company, store = Company(memory), await memory.store()
    company.may_end.clear()
    running = asyncio.create_task(company.boss.arun("Go", run_id="run"))
    while not company.answers:  # noqa: ASYNC110 # its model is asked for an answer
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert (await child_of(store, "run")).status is RunStatus.cancelled


async def test_a_cancel_after_the_end_changes_nothing(memory: InMemoryDb) -> None:
    company, store = Company(memory), await memory.store()
    run = await company.boss.arun("Go", background=True)
    await ended(company.boss, run.run_id)
    assert not await company.boss.acancel_run(run.run_id)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    assert child.status is RunStatus.completed
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}29 m"


async def test_each_end_of_a_run_that_goes_on_is_told(memory: InMemoryDb) -> None:
    company, store = Company(memory), await memory.store()
    company.researcher.model = ScriptedModel([Reply.http_error(400, "No figures."), "Found."])
    run = await company.boss.arun("Go", background=True)
    await ended(company.boss, run.run_id)
    failed = await child_of(store, run.run_id)
    assert failed.status is RunStatus.error
    await delivered(store)
    assert sum(await times_told(store, failed)) == 1
    await company.researcher.aretry_run(failed.run_id)
    await ended(company.researcher, failed.run_id)
    child = await child_of(store, run.run_id)
    assert (child.status, child.attempt) == (RunStatus.completed, failed.attempt + 1)
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}Found."


APPROVED: list[str] = []


@tool(requires_confirmation=True)
def order(what: str) -> str:
    """Order something."""
    APPROVED.append(what)
    return "ordered"


async def test_a_run_that_waits_for_a_person_is_answered_itself_and_its_end_is_told(
    db: Database,
) -> None:
    company, store = Company(db), await db.store()
    company.researcher.model = ScriptedModel(
        [Reply.tool_calls(("order", {"what": "a map"})), "There is a map."]
    )
    company.researcher.add_tool(order)
    run = await company.boss.arun("Go", background=True)
    run = await ended(company.boss, run.run_id)
    assert (run.status, run.content) == (RunStatus.completed, STARTED)
    [child] = await children_of(store, run.run_id)
    paused = await ended(company.researcher, child.run_id)
    assert paused.is_paused
    await delivered(store)
    paused.active_requirements[0].confirm()
    await company.researcher.acontinue_run(paused, background=True)
    child = await child_of(store, run.run_id)
    assert (await follower_of(company.boss, store, child)).content == f"{TOLD}There is a map."
    await delivered(store)
    assert await times_told(store, child) == (0, 1)


async def test_what_becomes_of_a_pause_of_the_parent_it_is_told_once(memory: InMemoryDb) -> None:
    store = await memory.store()

    def direct(request: ModelRequest) -> Reply | str:
        if reports := reports_in(request):
            return f"{TOLD}{len(reports)}"
        if any(each.role == "tool" for each in request.messages):
            return STARTED
        return Reply.tool_calls(*START.calls, ("order", {"what": "a chair"}))

    company = Company(memory)
    company.boss.model = FunctionModel(direct)
    company.boss.add_tool(order)
    company.may_answer.set()
    run = await company.boss.arun("Go", background=True)
    run = await ended(company.boss, run.run_id)
    assert run.is_paused
    child = await child_of(store, run.run_id)
    assert await tell_parent(store, child.run_id, 0) == 0.25
    assert await tell_parent(store, child.run_id, 99) == 30
    run.active_requirements[0].confirm()
    await company.boss.acontinue_run(run, background=True)
    run = await ended(company.boss, run.run_id)
    assert run.content == f"{TOLD}1"
    assert await times_told(store, child) == (1, 0)


async def test_nothing_follows_an_erased_run_or_a_deleted_session(db: Database) -> None:
    company, store = Company(db), await db.store()
    for session_id in ("erased", "deleted"):
        run = await company.boss.arun("Go", background=True, session_id=session_id)
        await ended(company.boss, run.run_id)
        parent = await store.get(run.run_id, with_input=True)
        [child] = await children_of(store, run.run_id)
        if session_id == "erased":
            await company.boss.aerase_run(run.run_id)
        else:
            await company.boss.adelete_session(session_id)
        assert await tell_parent(store, child.run_id, 0) is None
        assert parent is not None
        assert await store.follow(follow_up(parent, child), run.run_id, parent.attempt) is None
        assert await store.get(follow_up_id(child.run_id, child.attempt)) is None
    company.may_answer.set()


async def test_a_later_attempt_tells_nothing_again(db: Database) -> None:
    company, store = Company(db), await db.store()
    company.may_answer.set()
    crashes = True

    async def direct(request: ModelRequest) -> Reply | str:
        nonlocal crashes
        if all(each.role != "tool" for each in request.messages):
            return START
        if not reports_in(request):
            await child_of(store, "run")
            return Reply.tool_calls(("list_runs", {}))
        if crashes:
            crashes = False
            return Reply.http_error(503, "Later.")
        return f"{TOLD}{len(reports_in(request))}"

    company.boss = Agent(
        "Boss",
        FunctionModel(direct),
        db=db,
        tools=[BackgroundAgents([company.researcher])],
        max_attempts=3,
        delay_between_retries=0.01,
    )
    await company.boss.arun("Go", background=True, run_id="run")
    run = await ended(company.boss, "run")
    assert (run.content, run.attempt) == (f"{TOLD}1", 2)
    assert await times_told(store, await child_of(store, "run")) == (1, 0)


async def test_what_is_told_after_a_failed_call_of_the_same_attempt_is_told(
    memory: InMemoryDb,
) -> None:
    store, company = await memory.store(), Company(memory)
    fails = True

    async def direct(request: ModelRequest) -> Reply | str:
        nonlocal fails
        if reports := reports_in(request):
            return f"{TOLD}{len(reports)}"
        if all(each.role != "tool" for each in request.messages):
            return START
        if fails:
            fails = False
            company.may_answer.set()
            await child_of(store, "run")
            return Reply.http_error(503, "Later.")
        return STARTED

    company.boss = Agent(
        "Boss",
        FunctionModel(direct),
        db=memory,
        tools=[BackgroundAgents([company.researcher])],
        retries=2,
        delay_between_retries=0.01,
    )
    run = await company.boss.arun("Go", run_id="run")
    assert (run.content, run.attempt) == (f"{TOLD}1", 1)
    assert await times_told(store, await child_of(store, "run")) == (1, 0)


async def test_a_branch_is_not_told_what_the_run_that_it_comes_from_is(memory: InMemoryDb) -> None:
    company, store = Company(memory), await memory.store()
    run = await company.boss.arun("Go", background=True)
    run = await ended(company.boss, run.run_id)
    branch = await company.boss.acontinue_run(run, input="And?", fork=True, background=True)
    await ended(company.boss, branch.run_id)
    company.may_answer.set()
    child = await child_of(store, run.run_id)
    await follower_of(company.boss, store, child)
    rows = await store.events(branch.run_id, 0)
    assert fold(rows).told_of == frozenset()


async def test_a_run_of_a_run_in_the_background_is_told_upwards(memory: InMemoryDb) -> None:
    store = await memory.store()
    middle = Company(memory)  # Its boss is started by another one.
    director = Agent(
        "Director",
        FunctionModel(
            lambda request: (
                f"{TOLD}{len(reports_in(request))}"
                if reports_in(request)
                else STARTED
                if any(each.role == "tool" for each in request.messages)
                else Reply.tool_calls(("start_boss", {"input": "Go"}))
            )
        ),
        db=memory,
        tools=[BackgroundAgents([middle.boss])],
    )
    run = await director.arun("Go", background=True)
    await ended(director, run.run_id)
    boss = await child_of(store, run.run_id)
    await delivered(store)
    middle.may_answer.set()
    child = await child_of(store, boss.run_id)
    follower = await follower_of(middle.boss, store, child)
    assert follower.parent_run_id == run.run_id
    assert follower.content == f"{TOLD}29 m"
    record = await store.get(follower.run_id)
    assert record is not None
    assert (await follower_of(director, store, record)).content == f"{TOLD}1"


@pytest.mark.parametrize("by_hand", [False, True], ids=["as a tool", "by hand"])
async def test_what_a_child_has_started_is_told_where_the_child_was_asked(
    memory: InMemoryDb, by_hand: bool
) -> None:
    store, company = await memory.store(), Company(memory)

    async def ask(input: str) -> str:
        return str((await company.boss.arun(input, session_id="own")).content)

    def direct(request: ModelRequest) -> Reply | str:
        if reports := reports_in(request):
            return f"{TOLD}{len(reports)}"
        results = [each.text for each in request.messages if each.role == "tool"]
        return results[0] if results else Reply.tool_calls(("ask", {"input": "Go"}))

    asks = ask if by_hand else company.boss.as_tool("ask")
    director = Agent("Director", FunctionModel(direct), db=memory, tools=[asks])
    run = await director.arun("Go", background=True)
    run = await ended(director, run.run_id)
    assert run.content == STARTED
    [boss] = await children_of(store, run.run_id)
    company.may_answer.set()
    child = await child_of(store, boss.run_id)
    follower = await follower_of(company.boss, store, child)
    assert follower.session_id == ("own" if by_hand else run.session_id)
    assert follower.parent_run_id == (None if by_hand else run.run_id)
    await delivered(store)
    record = await store.get(follower.run_id)
    assert record is not None
    if by_hand:
        assert record.webhook is None
    else:
        assert (await follower_of(director, store, record)).content == f"{TOLD}1"
