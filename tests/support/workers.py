"""Processes that only execute runs, forked from one that has everything imported."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import clocks
from elsewhere import environment_of, joined, processes, set_environment

from kern.agent import Agent
from kern.agent.serving import serve
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.run import steps
from kern.run.base import RunContext
from kern.tools import tool

NewWorker = Callable[..., "Worker"]
"""Takes a database, and what :class:`Worker` takes as keywords."""


async def work(step: str, context: RunContext) -> str:
    """Note in the ledger that the step is done."""
    with open(os.environ["TEST_LEDGER"], "a") as ledger:  # noqa: ASYNC230
        ledger.write(f"{context.run_id} {step}\n")
    return f"{step} is done"


async def block(context: RunContext, seconds: float) -> str:
    """Keep the whole event loop from doing anything, in the first attempt."""
    await work("block", context)
    if context.attempt == 1:
        time.sleep(seconds)  # noqa: ASYNC251
    return "unblocked"


async def wait(context: RunContext) -> str:
    """Never end in the first attempt."""
    await work("wait", context)
    if context.attempt == 1:
        await asyncio.Event().wait()
    return "went on"


async def die() -> str:
    """Take the process down."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@tool(on_interrupt="pause")
async def risk() -> str:
    """Take the process down, for a person to decide what comes after it."""
    return await die()


TOOLS: dict[str, Callable[..., object]] = {
    "work": work,
    "block": block,
    "wait": wait,
    "die": die,
    "risk": risk,
}


class Worker:
    """A process that executes the runs of the agent ``Tester``."""

    def __init__(
        self,
        db: Database,
        base_url: str,
        *,
        tools: tuple[str, ...] = (),
        options: dict[str, Any] | None = None,
        grace: float = 10.0,
        **environment: str,
    ) -> None:
        """Start it.

        Args:
            db: where the runs are.
            base_url: where the model is.
            tools: which of :data:`TOOLS` the agent has.
            options: what else the agent is made with.
            grace: what the runs in flight are given at its end.
            environment: its settings. ``TEST_CLOCK`` says how many seconds its clock is ahead,
                ``TEST_JOURNAL_VERSION`` up to which version it reads journals.
        """
        self._pipe, theirs = processes.Pipe()
        settings = environment_of(db, base_url) | environment
        self._process = processes.Process(
            target=_execute, args=(theirs, settings, tools, options or {}, grace)
        )
        self._process.start()
        theirs.close()

    async def said(self, timeout: float = 30.0) -> bool:
        """Return whether it takes runs, when that has changed; EOFError where it has ended."""
        assert await asyncio.to_thread(self._pipe.poll, timeout), "the worker says nothing"
        word: bool = self._pipe.recv()
        return word

    async def ready(self) -> "Worker":
        """Wait until it takes runs."""
        assert await self.said()
        return self

    def stop(self) -> None:
        """Ask it to end."""
        self._pipe.send("stop")

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def ended(self, timeout: float = 30.0) -> int | None:
        """Wait for its end, and return its exit code."""
        return await joined(self._process, timeout)

    def close(self) -> None:
        """End it, if it has not ended yet."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


def _execute(
    pipe: Connection,
    environment: dict[str, str],
    tools: tuple[str, ...],
    options: dict[str, Any],
    grace: float,
) -> None:
    set_environment(environment)
    if ahead := environment.get("TEST_CLOCK"):
        clocks.advance(float(ahead))
    if version := environment.get("TEST_JOURNAL_VERSION"):
        steps.VERSION = int(version)
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in environment:
        from kern.telemetry import switch_on

        switch_on()
    where, table = environment["TEST_DB"], environment["TEST_TABLE"]
    db = PostgresDb(where, table) if "://" in where else SqliteDb(where, table)
    model = OpenAIResponses("test-model", max_retries=0)
    agent = Agent("Tester", model, db=db, tools=[TOOLS[name] for name in tools], **options)

    async def main() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stopping.set)
        await serve([agent], grace=grace, stopping=stopping, ready=pipe.send)

    asyncio.run(main())
