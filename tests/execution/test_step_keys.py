"""However a tool's steps are ordered, and wherever it is interrupted, each is done exactly once."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TypeAlias, cast

import strategies as _strategies  # noqa: F401 # settles how many examples there are
from hypothesis import given
from hypothesis import strategies as st

from kern.errors import StepError
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.steps import CallSteps
from kern.run.agent import RunOutput
from kern.run.message import Message, Metrics
from kern.run.steps import ModelAnswered
from kern.run.tool import ToolCall

Action: TypeAlias = "str | float | tuple[str, ...]"
"""A step by its name, one that fails if that begins with ``!``; a sleep; steps side by side."""

names = st.sampled_from(["a", "b", "!", "!c"])
actions: st.SearchStrategy[Action] = st.one_of(
    names, st.just(0.0001), st.lists(names, min_size=2, max_size=4, unique=True).map(tuple)
)


class Interrupted(BaseException):
    """The process of a call was lost."""


class Tool:
    """A tool that does these actions, and loses its process at some of them."""

    def __init__(self, program: list[Action], losses: list[int]) -> None:
        self.program, self.losses = program, iter(losses)
        self.done = Counter[tuple[str, int]]()
        journal = Journal(None, RunOutput("run", "session", "agent"), 1, None, False)
        calls = [ToolCall("call", "work", "{}")]
        journal.keep(ModelAnswered(Message("assistant", tool_calls=calls), Metrics()))
        self.attempt = SimpleNamespace(
            journal=journal,
            state=journal.state,
            store=None,
            output=RunOutput("run", "session", "agent"),
            loaded={},
            foreground=False,
            now=time.time,
        )

    async def run(self) -> list[object]:
        """Make the call until it ends, from its top each time."""
        while True:
            left: Iterator[int] = iter(range(next(self.losses, 10**6), -1, -1))
            try:
                return await self.once(left)
            except Interrupted:
                pass

    async def once(self, left: Iterator[int]) -> list[object]:
        steps = CallSteps(cast(Attempt, self.attempt), 0)
        seen = Counter[str]()
        found: list[object] = []
        for action in self.program:
            if next(left) == 0:
                raise Interrupted
            if isinstance(action, float):
                await steps.sleep(action)
                continue
            together = (action,) if isinstance(action, str) else action
            for name in together:
                seen[name] += 1
            found += await asyncio.gather(
                *(self.step(steps, name, seen[name]) for name in together)
            )
        return found

    async def step(self, steps: CallSteps, name: str, occurrence: int) -> object:
        async def function() -> str:
            await asyncio.sleep(0)
            self.done[name, occurrence] += 1
            if name.startswith("!"):
                raise ValueError(name)
            return f"{name} {occurrence}"

        try:
            return await steps.step(name, function, (), retries=0, delay=0, timeout=None)
        except StepError as error:
            return f"{error.kind} {occurrence}"


@given(st.lists(actions, max_size=8), st.lists(st.integers(1, 8), max_size=4))
def test_each_step_is_done_once_and_comes_back_as_it_was(
    program: list[Action], losses: list[int]
) -> None:
    steps = [*_in_order(program)]
    tool = Tool(program, losses)
    assert asyncio.run(tool.run()) == [
        f"{'ValueError' if name.startswith('!') else name} {occurrence}"
        for name, occurrence in steps
    ]
    assert tool.done == Counter(steps)


def _in_order(program: list[Action]) -> Iterator[tuple[str, int]]:
    """Yield the steps of a program by name and occurrence, as they are done."""
    seen = Counter[str]()
    for action in program:
        if not isinstance(action, float):
            for name in (action,) if isinstance(action, str) else action:
                seen[name] += 1
                yield name, seen[name]
