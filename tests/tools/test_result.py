"""A model is told what a tool came to, or what is wrong with what it returned; never a ``repr``."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kern.run.base import RunContext
from kern.run.content import text_of
from kern.tools import FunctionTool


def context() -> RunContext:
    return RunContext("run", "session", "agent", None, None, 1, "call", "run/1/0", {})


async def outcome(function: Callable[..., Any]) -> tuple[bool, str]:
    """Return whether a call of the function failed, and what the model is told."""
    result = await FunctionTool(function).call("{}", context())
    return result.is_error, text_of(result.content)


@dataclass
class Place:
    name: str
    path: Path


class Chunks:
    def __init__(self) -> None:
        self.left = ["two", "one, "]

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


def written() -> Iterator[str]:
    yield "one, "
    yield "two"


async def written_later() -> AsyncIterator[str]:
    yield "one, "
    await asyncio.sleep(0)
    yield "two"


def counted() -> Generator[object, None, str]:
    yield {"at": 1}
    yield Place("here", Path("a/b"))
    return "the end"


async def hands_out_a_generator() -> Iterator[str]:
    return written()


def hands_out_chunks() -> Chunks:
    return Chunks()


async def forgets_to_await() -> Any:
    return hands_out_a_generator()


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (written, "one, two"),
        (written_later, "one, two"),
        (hands_out_a_generator, "one, two"),
        (hands_out_chunks, '["one, ", "two"]'),
        (forgets_to_await, "one, two"),
        (counted, '[{"at": 1}, {"name": "here", "path": "a/b"}, "the end"]'),
    ],
)
async def test_what_a_generator_yields_is_its_result(
    function: Callable[..., Any], told: str
) -> None:
    assert await outcome(function) == (False, told)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: range(3), "[0, 1, 2]"),
        (lambda: {"a": 1}.keys(), '["a"]'),
        (lambda: {"a": 1}.items(), '[["a", 1]]'),
        (lambda: zip([1], [2], strict=True), "[[1, 2]]"),
        (lambda: map(str, [1, 2]), '["1", "2"]'),
        (lambda: (each for each in [1, 2]), "[1, 2]"),
        (lambda: {"b", "a"}.intersection({"a"}), '["a"]'),
        (lambda: memoryview(b"text"), '"text"'),
        (lambda: [ValueError("odd")], '["ValueError: odd"]'),
        (lambda: {"place": Place("here", Path("a"))}, '{"place": {"name": "here", "path": "a"}}'),
        (lambda: [Decimal("1.5")], '["1.5"]'),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_values_of_the_standard_library_are_told_as_what_they_hold(
    make: Callable[[], object], told: str, is_async: bool
) -> None:
    def look() -> object:
        return make()

    async def alook() -> object:
        return make()

    assert await outcome(alook if is_async else look) == (False, told)


async def nothing() -> None: ...


async def asynchronous_items() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: [nothing()], "<coroutine object nothing at 0x"),
        (lambda: {"deep": [(nothing(),)]}, "Await it, and return what it gives."),
        (lambda: [asynchronous_items()], "Iterate over it, and return what it yields."),
        (object, "<object object at 0x"),
        (lambda: nothing, "<function nothing at 0x"),
        (lambda: [int], "<class 'int'>"),
        (lambda: [b"\xff", object()], "<object object at 0x"),
        (lambda: {"lock": threading.Lock()}, "<unlocked _thread.lock object at 0x"),
        (itertools.count, "yields more than 100,000 items"),
        (
            lambda: {frozenset("a"): 1},
            "the tool was called, but it returned what has no JSON form: ",
        ),
    ],
)
async def test_what_has_no_text_is_the_calls_error_and_says_what_to_return(
    make: Callable[[], Any], said: str
) -> None:
    def look() -> object:
        return make()

    async def alook() -> object:
        return make()

    for function in (look, alook):
        is_error, told = await outcome(function)
        assert is_error
        assert told.startswith("TypeError: the tool was called, but ")
        assert said in told
        assert "eturn " in told


async def test_an_exception_that_is_returned_is_as_one_that_is_raised() -> None:
    def look() -> Exception:
        return LookupError("nowhere")

    assert await outcome(look) == (True, "LookupError: nowhere")


async def test_a_generator_that_raises_has_failed_and_one_that_nobody_waits_for_ends() -> None:
    steps: list[int] = []
    began, ended = threading.Event(), threading.Event()

    def breaks() -> Iterator[str]:
        yield "one"
        raise LookupError("no two")

    def goes_on() -> Iterator[str]:
        try:
            while True:
                began.set()
                yield "more"
                steps.append(1)
        finally:
            ended.set()

    assert await outcome(breaks) == (True, "LookupError: no two")
    call = asyncio.create_task(FunctionTool(goes_on, timeout=0.05).call("{}", context()))
    assert await asyncio.to_thread(began.wait, 5)
    assert (await call).is_error
    assert await asyncio.to_thread(ended.wait, 5)
