"""kern, on any of its databases.

Source: the README of this repository.
"""

import os
import sys
import time
from abc import abstractmethod
from contextlib import aclosing
from pathlib import Path

from typing_extensions import override

from bench.contenders.contender import INSTRUCTIONS, BackgroundContender, Command, Setting
from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.event import RunContentEvent, RunEvent
from kern.tools import tool

MODEL = "gpt-5-mini"


@tool
async def moment() -> str:
    """Return the time."""
    return str(time.monotonic())


def make_agents(setting: Setting, db: Database) -> tuple[Agent, Agent]:
    """Return the agent that is measured, and one with a tool."""
    model = OpenAIResponses(MODEL, base_url=setting.model, api_key="none")
    return (
        Agent("Bench", model, instructions=INSTRUCTIONS, db=db),
        Agent("Clock", model, instructions=INSTRUCTIONS, tools=[moment], db=db),
    )


class KernContender(BackgroundContender):
    """kern with one of its databases."""

    calls_too = True

    @abstractmethod
    def database(self, setting: Setting) -> Database:
        """Return the database, as a user would make it."""

    @override
    async def open(self, setting: Setting) -> None:
        os.environ["KERN_IN_PROCESS_WORKER"] = "0" if setting.role == "submit" else "1"
        if "memory" in setting.figures:  # Which is measured with all runs in flight.
            os.environ["KERN_CONCURRENCY"] = "10000"
        self.setting = setting
        self._db = self.database(setting)
        self._agent, self._clock = make_agents(setting, self._db)

    @override
    async def submit(self, text: str, session: str) -> str:
        return (await self._agent.arun(text, session_id=session, background=True)).run_id

    @override
    async def ended(self, run_id: str, session: str) -> str:
        run = await self._agent.await_run(run_id)
        assert run is not None
        return run.status.value.lower()

    @override
    async def poll(self, run_id: str, session: str) -> None:
        assert await self._agent.aget_run_output(run_id, session)

    @override
    async def cancel(self, run_id: str) -> None:
        assert await self._agent.acancel_run(run_id)

    @override
    async def delays(self, text: str, session: str) -> list[float]:
        run = await self._clock.arun(text, session_id=session, background=True)
        delays = []
        async with aclosing(self._clock.astream_run(run.run_id)) as events:
            async for event in events:
                if event.event is RunEvent.tool_call_completed:
                    assert event.tool is not None
                    delays.append(time.monotonic() - float(event.tool.result or 0))
        return delays

    @override
    async def submit_streamed(self, text: str, session: str) -> str:
        events = self._agent.arun(
            text, session_id=session, background=True, stream=True, stream_events=True
        )
        async with aclosing(events):
            return (await anext(events)).run_id

    @override
    async def texts(self, run_id: str) -> list[tuple[float, str]]:
        async with aclosing(self._agent.astream_run(run_id)) as events:
            return [
                (time.monotonic(), event.content)
                async for event in events
                if isinstance(event, RunContentEvent)
            ]

    @override
    async def steps(self, count: int) -> list[float]:
        spent: list[float] = []

        @tool
        async def moment() -> str:
            """Return the time."""
            spent.append(time.process_time())
            return "It is noon."

        agent = Agent(
            "Stepper",
            self._agent.model,
            instructions=INSTRUCTIONS,
            tools=[moment],
            max_turns=None,
            db=self._db,
        )
        run = await agent.arun(f"Call {count} times.", background=True)
        await agent.await_run(run.run_id)
        return spent

    @override
    def worker(self, setting: Setting) -> Command:
        kern = str(Path(sys.executable).with_name("kern"))
        return Command(
            (kern, "worker", "bench.contenders.kern_worker:agents"),
            {"BENCH_SETTING": setting.to_json()},
        )
