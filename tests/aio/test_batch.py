"""Writes that share a statement, and writes that nothing interrupts."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from kern.aio.batch import Batcher, to_the_end
from kern.errors import DatabaseUnavailableError


class Table:
    """Takes what is written, a statement at a time, when the test lets it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.begun = asyncio.Event()
        self.batches: list[list[str]] = []

    @property
    def written(self) -> list[str]:
        return [item for batch in self.batches for item in batch]

    async def write(self, items: Sequence[str]) -> list[str]:
        self.begun.set()
        await self.open.wait()
        if bad := [item for item in items if item.startswith("bad")]:
            raise ValueError(bad[0])
        self.batches.append(list(items))
        return [item.upper() for item in items]


async def began(table: Table) -> None:
    async with asyncio.timeout(10):
        await table.begun.wait()


def put_all(batcher: Batcher[str, str], items: str) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(batcher.put(item)) for item in items.split()]


async def test_an_idle_batcher_writes_at_once() -> None:
    table = Table()
    batcher = Batcher(table.write)
    assert await batcher.put("a") == "A"
    assert await batcher.put("b") == "B"
    assert table.batches == [["a"], ["b"]]


async def test_what_comes_at_the_same_moment_shares_a_statement() -> None:
    table = Table()
    batcher = Batcher(table.write)
    assert await asyncio.gather(*put_all(batcher, "a b c")) == ["A", "B", "C"]
    assert table.batches == [["a", "b", "c"]]


async def test_writes_gather_while_one_is_under_way() -> None:
    table = Table()
    batcher = Batcher(table.write)
    table.open.clear()
    first = put_all(batcher, "a")
    await began(table)
    others = put_all(batcher, "b c d")
    await asyncio.sleep(0)
    table.open.set()
    assert await asyncio.gather(*first, *others) == ["A", "B", "C", "D"]
    assert table.batches == [["a"], ["b", "c", "d"]]


async def test_a_statement_has_a_limit_and_keeps_the_order() -> None:
    table = Table()
    batcher = Batcher(table.write, limit=2)
    assert await asyncio.gather(*put_all(batcher, "e d c b a")) == ["E", "D", "C", "B", "A"]
    assert table.batches == [["e", "d"], ["c", "b"], ["a"]]


async def test_a_bad_item_fails_alone() -> None:
    table = Table()
    batcher = Batcher(table.write)
    answers = await asyncio.gather(*put_all(batcher, "a bad1 b bad2 c"), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["A", "bad1", "B", "bad2", "C"]
    assert [type(answer) for answer in answers] == [str, ValueError, str, ValueError, str]
    assert table.written == ["a", "b", "c"]


async def test_a_batcher_works_on_after_an_error() -> None:
    batcher = Batcher(Table().write)
    with pytest.raises(ValueError, match="bad"):
        await batcher.put("bad")
    assert await batcher.put("a") == "A"


async def test_a_caller_who_gives_up_leaves_the_others_alone() -> None:
    table = Table()
    batcher = Batcher(table.write)
    table.open.clear()
    a, b = put_all(batcher, "a b")
    await began(table)
    c, d = put_all(batcher, "c d")
    await asyncio.sleep(0)
    a.cancel()
    c.cancel()
    await asyncio.wait([a, c])
    table.open.set()
    assert await asyncio.gather(*[b, d]) == ["B", "D"]
    assert a.cancelled()
    assert c.cancelled()


async def test_what_is_under_way_can_be_awaited_though_its_caller_has_left() -> None:
    table = Table()
    batcher = Batcher(table.write)
    await batcher.answered()
    table.open.clear()
    [a] = put_all(batcher, "a")
    await began(table)
    a.cancel()
    answered = asyncio.create_task(batcher.answered())
    await asyncio.wait([a])
    assert not answered.done()
    table.open.set()
    await answered
    assert table.batches == [["a"]]


async def test_a_caller_who_gives_up_on_a_bad_item_leaves_the_others_alone() -> None:
    table = Table()
    batcher = Batcher(table.write)
    table.open.clear()
    bad, good = put_all(batcher, "bad a")
    await began(table)
    bad.cancel()
    table.open.set()
    assert await good == "A"


@pytest.mark.parametrize("moments", range(4))
async def test_an_interrupted_statement_interrupts_its_callers_and_nobody_else(
    moments: int,
) -> None:
    """From the moment on in which its task is made."""
    table = Table()
    batcher = Batcher(table.write, limit=2)
    table.open.clear()
    callers = put_all(batcher, "a b c")
    before = asyncio.all_tasks()
    await asyncio.sleep(0)
    [sending] = asyncio.all_tasks() - before
    for _ in range(moments):
        await asyncio.sleep(0)
    sending.cancel()
    table.open.set()
    answers = await asyncio.wait_for(asyncio.gather(*callers, return_exceptions=True), 10)
    interrupted = [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert interrupted in ([True, True, False], [False, False, False])
    expected = [item for item, lost in zip("abc", interrupted, strict=True) if not lost]
    assert table.written == expected
    assert await batcher.put("d") == "D"


# --- to_the_end


async def test_a_write_to_the_end_answers() -> None:
    assert await to_the_end(lambda: Table().write(["a"])) == ["A"]


async def test_a_write_to_the_end_tells_its_error() -> None:
    with pytest.raises(ValueError, match="bad"):
        await to_the_end(lambda: Table().write(["bad"]))


async def test_a_write_to_the_end_is_made_and_then_cancelled() -> None:
    table = Table()
    table.open.clear()
    task = asyncio.create_task(to_the_end(lambda: table.write(["a"])))
    await began(table)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    table.open.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert table.batches == [["a"]]


@pytest.mark.parametrize("moments", range(6))
def test_the_end_of_asyncio_run_interrupts_no_write_to_the_end(moments: int) -> None:
    """Whether its batch waits to be sent, is under way, or waits for the one before it."""
    table = Table()
    tasks: list[asyncio.Task[str]] = []

    async def main() -> None:
        async def write(items: Sequence[str]) -> list[str]:
            for _ in range(3):
                await asyncio.sleep(0)
            return await table.write(items)

        batcher = Batcher(write, limit=2)
        writes = [to_the_end(partial(batcher.put, item)) for item in "abcde"]
        tasks.extend(asyncio.create_task(write) for write in writes)
        for _ in range(moments):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert {*table.written} == {*"abcde"}
    assert all(task.cancelled() for task in tasks) or moments > 4


async def test_what_is_large_shares_no_statement() -> None:
    table = Table()
    batcher = Batcher(table.write, size=lambda item: 3_000_000 if item == "large" else 1)
    await asyncio.gather(*put_all(batcher, "a large b large c"))
    assert table.batches == [["a", "large", "b"], ["large", "c"]]
    await asyncio.gather(*put_all(batcher, "large large"))
    assert table.batches[2:] == [["large"], ["large"]]


async def test_a_database_that_is_away_refuses_all_at_once() -> None:
    statements = 0

    async def refuse(items: Sequence[str]) -> list[str]:
        nonlocal statements
        statements += 1
        raise DatabaseUnavailableError("it is away")

    batcher = Batcher(refuse)
    results = await asyncio.gather(*put_all(batcher, "a b c"), return_exceptions=True)
    assert [type(each) for each in results] == [DatabaseUnavailableError] * 3
    assert statements == 1


async def test_what_was_put_is_written_although_who_has_put_it_has_left() -> None:
    written: list[int] = []
    gate = asyncio.Event()

    async def write(items: Sequence[int]) -> Sequence[None]:
        await gate.wait()
        written.extend(items)
        return [None] * len(items)

    batcher = Batcher(write, limit=1)
    await batcher.answered()
    left = [asyncio.create_task(batcher.put(number)) for number in range(3)]
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    answered = asyncio.create_task(batcher.answered())
    await asyncio.wait(left)
    assert not answered.done()
    gate.set()
    await answered
    assert written == [0, 1, 2]
