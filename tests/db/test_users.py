"""What a database keeps apart for users, whoever is faster."""

import asyncio

from stores import CLAIM, ending, new_run

from kern.db.database import Database
from kern.db.retention import NEWEST


async def test_a_pending_cancel_of_another_user_is_not_for_this_run(db: Database) -> None:
    store = await db.store()
    assert not await store.cancel("run", "bob")
    assert await store.submit(new_run(user_id="alice")) is None
    assert await store.get("run") is None
    for user in ("bob", None):
        run_id = f"run of {user}"
        await store.cancel(run_id, "bob")
        accepted = await store.submit(new_run(run_id, user_id=user, session_id=run_id))
        assert accepted is not None
        assert accepted.status == "CANCELLED"


async def test_a_refused_submit_leaves_the_session_lock_free(db: Database) -> None:
    store = await db.store()
    await store.cancel("run", "bob")
    assert await store.submit(new_run(user_id="alice", ordered=True)) is None
    accepted = await store.submit(new_run("next", user_id="alice", ordered=True))
    assert accepted is not None
    assert not accepted.waiting


async def test_a_cancel_by_another_user_changes_nothing(db: Database) -> None:
    store = await db.store()
    await store.submit(new_run("pending", user_id="alice"))
    await store.submit(new_run("running", user_id="alice"))
    await store.claim("running", CLAIM)
    for run_id in ("pending", "running"):
        before = await store.get(run_id)
        assert not await store.cancel(run_id, "bob")
        assert await store.get(run_id) == before
        assert await store.wanted([run_id]) == []
        assert await store.cancel(run_id, "alice")


async def test_a_session_is_made_for_one_of_those_who_name_it_at_once(db: Database) -> None:
    store = await db.store()
    users = [f"user {number}" for number in range(10)]
    placed = await asyncio.gather(
        *(store.users.place(new_run(user_id=user, chosen=("session_id",))) for user in users)
    )
    owners = (await store.users.owners((), [run.session_id for run in placed])).sessions
    assert sum(run.session_id == "session" for run in placed) == 1
    assert len({run.session_id for run in placed}) == len(users)
    assert owners["session"] in users


async def test_history_is_of_an_agent_and_a_user_and_looked_for_among_the_last_runs(
    db: Database,
) -> None:
    store = await db.store()

    async def add(run_id: str, **options: str | None) -> None:
        await store.submit(new_run(run_id, **options))
        await store.claim(run_id, CLAIM)
        await store.settle(ending(run_id, output=f'"{run_id}"'))

    await add("first", user_id="alice")
    others = [new_run(f"other {number}", agent_id="other") for number in range(NEWEST - 3)]
    await asyncio.gather(*map(store.submit, others))
    await add("bob's", user_id="bob")
    await add("nobody's", user_id=None)
    await store.submit(new_run("now", user_id="alice"))

    async def shown(before: str, **of: str) -> list[str]:
        return [run_id for run_id, _ in await store.history("session", before, 3, **of)]

    assert await shown("now", agent_id="agent", user_id="alice") == ["first", "nobody's"]
    assert await shown("now", agent_id="agent") == ["first", "bob's", "nobody's"]
    assert await shown("now", agent_id="other") == []
    await store.submit(new_run("later", user_id="alice"))
    assert await shown("later", agent_id="agent", user_id="alice") == ["nobody's"]
