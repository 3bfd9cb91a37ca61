"""Ids of users, in what follows on a run: its forks, its schedules, and those who wait."""

import random
from contextlib import aclosing

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import InvalidInputError, RunNotFoundError
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer


@pytest.fixture
def agent(db: Database, model: OpenAIResponses) -> Agent:
    """An agent on each kind of database in turn."""
    return Agent("Tester", model, db=db, add_history_to_context=True)


async def test_a_fork_of_nobodys_run_leaves_the_session_of_another_user(agent: Agent) -> None:
    await agent.arun("Hers", session_id="chat", user_id="alice")
    await agent.arun("Nobody's", run_id="open", session_id="chat")
    fork = await agent.acontinue_run("open", from_seq=1, user_id="bob")
    assert (fork.user_id, fork.session_id == "chat") == ("bob", False)
    hers = await agent.acontinue_run("open", from_seq=1, user_id="alice")
    assert (hers.user_id, hers.session_id) == ("alice", "chat")


async def test_code_without_a_user_replaces_no_users_schedule(agent: Agent) -> None:
    hers = await agent.aschedule("daily", "Hers", cron="0 6 * * *", user_id="alice")
    with pytest.raises(InvalidInputError, match="belongs to another agent, or to a user"):
        await agent.aschedule("daily", "Nobody's", cron="0 7 * * *")
    assert await agent.alist_schedules() == [hers]


def random_id(seed: int, length: int = 255) -> str:
    """Return an id of four bytes a character, which no database can make smaller."""
    return "".join(map(chr, random.Random(seed).choices(range(0x10000, 0x2FA00), k=length)))


async def test_the_longest_ids_have_room_in_every_index(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    run_id, session_id, alice, bob = map(random_id, range(4))
    agent = Agent("Tester", model, db=db, id=random_id(4), max_concurrent_runs_per_user=1)
    for user in (alice, bob):
        run = await agent.arun(
            "Hi",
            background=True,
            run_id=run_id,
            session_id=session_id,
            user_id=user,
            webhook="https://kern.invalid/hook",
        )
        found = await agent.await_run(run_id, 20, user_id=user)
        assert found is not None
        assert (found.run_id, found.status) == (run.run_id, RunStatus.completed)
        await agent.aschedule(random_id(5, 200), "Hi", cron="0 6 * * *", user_id=user)
        assert not await agent.acancel_run(random_id(6), user_id=user)
        assert [event async for event in agent.astream_run(run_id, user_id=user)]
        assert len(await agent.alist_runs(session_id=session_id, user_id=user)) == 1
    server.script.append(Reply.hang())
    await agent.arun("Slow", background=True, run_id=random_id(7), user_id=bob)
    await server.wait_for_requests(3)
    assert await agent.acancel_run(random_id(7), user_id=bob)
    assert await db.adelete_user(bob) == (3, 2, 1, 0, 0)


async def test_a_wait_of_no_time_looks_at_the_run(agent: Agent, server: ResponsesServer) -> None:
    server.script.append(Reply.hang())
    await agent.arun("Hi", background=True, run_id="slow", user_id="alice")
    await server.wait_for_requests(1)
    await agent.arun("Hi", run_id="ended")
    for timeout in (0, 0.0, 1e-9):
        ended = await agent.await_run("ended", timeout)
        assert ended is not None
        assert ended.status is RunStatus.completed
        assert await agent.await_run("none", timeout) is None
        assert await agent.await_run("slow", timeout, user_id="bob") is None
        with pytest.raises(TimeoutError, match="run slow has not ended"):
            await agent.await_run("slow", timeout)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "5"], ids=repr)
async def test_what_is_no_time_to_wait_is_refused(agent: Agent, timeout: float) -> None:
    with pytest.raises(InvalidInputError, match="timeout must be a number of seconds"):
        await agent.await_run("run", timeout)


async def test_a_stream_is_gone_on_with_by_its_user_only(
    agent: Agent, server: ResponsesServer
) -> None:
    server.script.append(Reply.text("For ", "Alice").held(1))
    stream = agent.arun("Hi", background=True, stream=True, run_id="x", user_id="alice")
    async with aclosing(stream):
        seen = (await anext(stream)).seq
        for after in (0, seen, 10**6):
            with pytest.raises(RunNotFoundError, match="There is no run 'x'"):
                await anext(agent.astream_run("x", after, user_id="bob"))
        his = await agent.arun("Hi", background=True, run_id="x", user_id="bob")
        events = [event async for event in agent.astream_run("x", 1, user_id="bob")]
        assert {event.run_id for event in events} == {his.run_id}
        assert await agent.acancel_run("x", user_id="alice")


async def test_an_own_id_is_its_users_only(agent: Agent) -> None:
    await agent.arun("Hi", run_id="x", user_id="alice")
    his = await agent.arun("Hi", run_id="x", user_id="bob")
    again = await agent.arun("Hi", run_id=his.run_id, user_id="bob")
    assert again.run_id == his.run_id
    hers = await agent.arun("Hi", run_id=his.run_id, user_id="alice")
    assert hers.run_id != his.run_id
    for user, run_id in (("alice", hers.run_id), ("bob", his.run_id), (None, his.run_id)):
        found = await agent.aget_run_output(his.run_id, user_id=user)
        assert found is not None
        assert found.run_id == run_id


async def test_only_the_user_of_a_run_cancels_it_with_what_it_started_for_others(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    inner = Agent("Inner", model, db=db)

    async def delegate() -> str:
        await inner.arun("Do it", run_id="child", user_id="bob")
        return "done"

    outer = Agent("Outer", model, db=db, tools=[delegate])
    server.script += [Reply.tool_calls(("delegate", {})), Reply.hang()]
    await outer.arun("Go", background=True, run_id="parent", user_id="alice")
    await server.wait_for_requests(2)
    assert not await outer.acancel_run("parent", user_id="bob")
    assert await outer.acancel_run("parent", user_id="alice")
    child = await inner.await_run("child", 20, user_id="bob")
    assert child is not None
    assert child.status is RunStatus.cancelled
