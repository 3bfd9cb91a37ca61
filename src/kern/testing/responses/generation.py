"""One response in the making, at the pace of its reply."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from kern.testing.responses.reply import Reply
from kern.testing.responses.wire import Json, finish, new_response, stream


class Generation:
    """A response that is generated for the one request that asked for it.

    Attributes:
        reply: what to generate.
        response: the response as it stands.
    """

    def __init__(self, reply: Reply, body: Mapping[str, Any]) -> None:
        self.reply = reply
        self.response = new_response(body)

    @property
    def id(self) -> str:
        """The response's id."""
        identifier: str = self.response["id"]
        return identifier

    async def whole(self) -> Json:
        """Return the finished response, after all that a stream of it would have waited."""
        if self.reply.pause:
            await asyncio.sleep(self.reply.pause * len(self.reply.deltas))
        if self.reply.gate:
            await asyncio.wrap_future(self.reply.gate)
        finish(self.response, self.reply)
        return self.response

    async def events(self) -> AsyncGenerator[list[Json], None]:
        """Yield the stream's events, those together that no wait separates."""
        batch: list[Json] = []
        deltas = 0
        for event in stream(self.response, self.reply):
            batch.append(event)
            is_delta = event["type"].endswith(".delta")
            if is_delta:
                deltas += 1
            elif event["type"] != "response.in_progress":
                continue
            gate = self.reply.gate if self.reply.gate_after == deltas else None
            if gate or (is_delta and self.reply.pause):
                yield batch
                batch = []
            if is_delta and self.reply.pause:
                await asyncio.sleep(self.reply.pause)
            if gate:
                await asyncio.wrap_future(gate)
        yield batch


class BackgroundGeneration(Generation):
    """A response that is generated also without a listener, and followed from any event on."""

    def __init__(self, reply: Reply, body: Mapping[str, Any]) -> None:
        super().__init__(reply, body)
        self._log: list[Json] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._generate())
        self._task.add_done_callback(lambda _: self._notify())

    async def follow(self, after: int = -1) -> AsyncGenerator[list[Json], None]:
        """Yield the events with a sequence number above this one, those to come as well."""
        while True:
            batch = self._log[after + 1 :]
            after += len(batch)
            if batch:
                yield batch
            elif self._task.done():
                return
            else:
                await self._changed.wait()

    def cancel(self) -> bool:
        """Stop generating, and tell whether there was something to stop."""
        if self._task.done() or self.response["status"] not in ("queued", "in_progress"):
            return False
        self.response["status"] = "cancelled"
        self._task.cancel()
        return True

    async def close(self) -> None:
        """Stop generating, and wait for the end of it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _generate(self) -> None:
        await self.reply.begin()
        async for batch in self.events():
            self._log += batch
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
