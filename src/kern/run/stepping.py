"""What does the steps of a tool call: the port behind :class:`kern.run.base.RunContext`."""

from asyncio import Future, Timeout
from collections.abc import Callable
from typing import Any, Protocol


class Steps(Protocol):
    """Does what a tool asks of its context: a part of its work that is done once."""

    def begun(self, work: "Future[Any]", limit: Timeout) -> None:
        """Know the task of the tool's code, which may be cancelled, and the call's time limit."""

    async def step(
        self,
        name: str,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        *,
        retries: int,
        delay: float,
        timeout: float | None,
    ) -> object:
        """Do a step, or return what it came to; see :meth:`~kern.run.base.RunContext.step`."""

    def step_sync(
        self,
        name: str,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        *,
        retries: int,
        delay: float,
        timeout: float | None,
    ) -> object:
        """Do the same from a thread; see :meth:`~kern.run.base.RunContext.step_sync`."""

    async def sleep(self, seconds: float) -> None:
        """Wait; see :meth:`~kern.run.base.RunContext.sleep`."""

    def sleep_sync(self, seconds: float) -> None:
        """Do the same from a thread; see :meth:`~kern.run.base.RunContext.sleep_sync`."""
