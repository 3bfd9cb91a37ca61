"""The contract of the port: which processes live."""

from dataclasses import replace

from kern.db.base import Store
from kern.db.processes import Process


async def test_living_processes_are_named_and_those_that_left_are_not(store: Store) -> None:
    here = Process("here", "host", 1, ("agent", "other"), "1.0", 5, 0)
    there = Process("there", "host", 2, (), "1.0", None, 3)
    await store.processes.beat(here)
    await store.processes.beat(there)
    await store.processes.beat(replace(here, executing=4))
    found = await store.processes.find(60)
    assert [replace(each, started_at=None, beat_at=None) for each in found] == [
        replace(here, executing=4),
        there,
    ]
    assert found[0].started_at is not None
    assert found[0].beat_at is not None
    assert found[0].started_at <= found[0].beat_at
    assert await store.processes.find(-60) == []
    await store.processes.leave("here")
    assert [each.executor for each in await store.processes.find(60)] == ["there"]


async def test_a_ping_is_answered(store: Store) -> None:
    await store.ping()
