"""A run that stands in another's place: written with its acceptance, hidden from then on."""

import asyncio

from stores import CLAIM, ending, execute, new_run

from kern.db.base import Store
from kern.db.listing import RunFilter
from kern.run.base import RunStatus

COMPLETED, REGENERATED = RunStatus.completed, RunStatus.regenerated
LINEAGE = '{"regenerated_from":"run"}'


async def stand(store: Store, *run_ids: str) -> None:
    """Have runs that have ended."""
    for run_id in run_ids:
        await store.submit(new_run(run_id, cancelled=False))
        assert await store.claim(run_id, CLAIM) is not None
        await store.settle(ending(run_id))


async def listed(store: Store, *statuses: RunStatus) -> list[str]:
    wanted = RunFilter(session_id="session", statuses=statuses)
    return [each.run_id for each in await store.find(wanted, 9)]


async def test_a_replaced_run_is_hidden_and_listed_by_its_status(store: Store) -> None:
    await stand(store, "first", "run", "last")
    new = new_run("new", lease=60.0, executor="me", lineage=LINEAGE)
    accepted = await store.fork(new, "run", 0, replaces=True)
    assert accepted is not None
    assert accepted.status is RunStatus.running, "it begins where it is accepted"
    held = await store.held("new", "me")
    assert held is not None
    assert (held.attempt, held.lineage) == (1, LINEAGE)
    replaced = await store.get("run")
    assert replaced is not None
    assert (replaced.status, replaced.replaced_by) == (COMPLETED, "new")
    assert await listed(store, REGENERATED) == ["run"]
    assert await listed(store, COMPLETED) == ["last", "first"]
    assert await listed(store, COMPLETED, REGENERATED) == ["last", "run", "first"]
    assert await listed(store) == ["new", "last", "run", "first"]
    history = await store.history("session", "new", 9)
    assert [run_id for run_id, _ in history] == ["first", "last"]
    assert len(await store.sessions.previews(["session"], 9)) == 2


async def test_of_many_that_replace_a_run_at_once_one_is_accepted(store: Store) -> None:
    await stand(store, "run")
    forks = await asyncio.gather(
        *(store.fork(new_run(f"new-{each}"), "run", 0, replaces=True) for each in range(9))
    )
    [number] = [number for number, each in enumerate(forks) if each is not None]
    replaced = await store.get("run")
    assert replaced is not None
    assert replaced.replaced_by == f"new-{number}"
    assert await listed(store) == [f"new-{number}", "run"], "nothing is left of the others"
    assert await store.fork(new_run("beside"), "run", 0) is not None
    assert await store.fork(new_run("other"), "nowhere", 0, replaces=True) is None
    assert await store.get("other") is None


async def test_what_was_cancelled_before_it_came_replaces_nothing(store: Store) -> None:
    await stand(store, "run")
    await store.cancel("new")
    assert await store.fork(new_run("new"), "run", 0, replaces=True) is not None
    assert await listed(store, COMPLETED) == ["run"]
    assert await store.fork(new_run("newer"), "run", 0, replaces=True) is not None
    assert await listed(store, REGENERATED) == ["run"]


async def test_what_is_withdrawn_gives_the_place_back(store: Store) -> None:
    await stand(store, "run")
    await store.submit(new_run("busy", ordered=True))
    new = new_run("new", ordered=True, lineage=LINEAGE)
    accepted = await store.fork(new, "run", 0, replaces=True)
    assert accepted is not None
    assert accepted.waiting
    assert await store.withdraw("new")
    assert await listed(store, COMPLETED) == ["run"]
    rows = await execute(store, "SELECT run_id FROM {runs} WHERE replaced_by = {1}", "new")
    assert rows == []
