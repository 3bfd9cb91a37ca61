"""A call that waits for a run, and what its client is told meanwhile."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager, aclosing
from typing import Any, TypeVar

from mcp.server import ServerRequestContext

from kern.run.event import RunEvent, RunOutputEvent
from kern.run.printable import printable
from kern.server.service import AnyAgent
from kern.server.streaming import End, Streams

Result = TypeVar("Result")

# Seconds after which a client that wants to know is told again that a run is still at work: some
# give up a call of which they hear nothing for ten.
_BEAT = 4.0

# How far apart the clocks of two processes may be, in seconds.
_SKEW = 1.0

# How long a line of progress may be, in characters.
_LINE = 200


class Waiting:
    """A call that is open because it waits; when the server ends, it waits no longer.

    Attributes:
        user_id: whose it is.
        foreground: False: what it waits for goes on.
    """

    foreground = False

    def __init__(self, streams: Streams, user_id: str | None) -> None:
        """Wait for nothing yet.

        Args:
            streams: what is open in the application.
            user_id: whose it is.
        """
        self.user_id = user_id
        self._streams = streams
        self._ended = asyncio.Event()

    def end(self, why: End) -> None:
        """Have it wait no longer."""
        self._ended.set()

    def open(self) -> AbstractContextManager[None]:
        """Count as open within this block, in which the server leaves time for a last word."""
        return self._streams.opened(self)

    async def for_(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result | None:
        """Return what becomes of work; None where the time is up, or the server ends, before.

        Args:
            work: the work, which is cancelled then.
            seconds: how long it may take.
        """
        task, ended = asyncio.ensure_future(work), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({task, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            ended.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)


class Progress:
    """Tells a client how far a call has come, if it wants to know."""

    def __init__(self, context: ServerRequestContext[Any, Any]) -> None:
        """Have told nothing yet.

        Args:
            context: the request that is answered.
        """
        self._session = context.session
        self._wanted = bool(context.meta) and "progress_token" in (context.meta or {})
        self._number = 0
        self._since = time.time() - _SKEW

    async def during(
        self, work: Coroutine[Any, Any, Result], agent: AnyAgent, run_id: str, user_id: str | None
    ) -> Result:
        """Return what becomes of work, and tell meanwhile what happens in a run.

        Args:
            work: what waits for the run.
            agent: the agent by which it is read.
            run_id: the run.
            user_id: whose it must be; None for anybody's.
        """
        if not self._wanted:
            return await work
        telling = asyncio.gather(self._events(agent, run_id, user_id), self._beat(agent))
        try:
            return await work
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _events(self, agent: AnyAgent, run_id: str, user_id: str | None) -> None:
        async with aclosing(agent.astream_run(run_id, user_id=user_id)) as events:
            async for event in events:
                # What was before the call is no news to it.
                if event.created_at >= self._since and (line := _line(event)) is not None:
                    await self._tell(line)

    async def _beat(self, agent: AnyAgent) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            await self._tell(f"{agent.name} is still at work")

    async def _tell(self, line: str) -> None:
        self._number += 1
        await self._session.report_progress(self._number, message=printable(line)[:_LINE])


def _line(event: RunOutputEvent) -> str | None:
    who = event.agent_name or event.agent_id
    match event.event:
        case RunEvent.run_started:
            return f"{who} has begun: run {event.run_id}"
        case RunEvent.model_request_started:
            return f"{who} asks its model"
        case RunEvent.tool_call_started if event.tool is not None:
            return f"{who} calls {event.tool.tool_name}"
        case RunEvent.run_paused:
            return f"{who} waits for a person"
        case RunEvent.run_resumed:
            return f"{who} goes on"
        case _:
            return None
