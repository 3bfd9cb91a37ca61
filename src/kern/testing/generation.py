"""Answers in the making, at the pace of their reply."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from kern.testing.protocols import Frame, Json, Protocol, responses
from kern.testing.reply import Reply


async def whole(protocol: Protocol, reply: Reply, body: Mapping[str, Any]) -> Json:
    """Return the finished answer, after all that a stream of it would have waited."""
    if reply.pause:
        await asyncio.sleep(reply.pause * len(reply.deltas))
    if reply.gate:
        await asyncio.wrap_future(reply.gate)
    return protocol.whole(reply, body)


async def paced(reply: Reply, frames: Iterator[Frame]) -> AsyncGenerator[list[Frame], None]:
    """Yield the frames of a stream when the reply lets them go, together if no wait separates."""
    batch: list[Frame] = []
    deltas = 0
    gate = None if reply.gate_after is None else reply.gate
    for frame in frames:
        if gate and deltas == reply.gate_after and frame.kind != "opening":
            yield batch
            batch = []
            await asyncio.wrap_future(gate)
            gate = None
        batch.append(frame)
        if frame.kind == "delta":
            deltas += 1
            if reply.pause:
                yield batch
                batch = []
                await asyncio.sleep(reply.pause)
    yield batch


class BackgroundGeneration:
    """A response that is generated also without a listener, and followed from any event on.

    Attributes:
        reply: what to generate.
        response: the response as it stands.
    """

    def __init__(self, reply: Reply, body: Mapping[str, Any]) -> None:
        self.reply = reply
        self.response: Json = responses.new_response(body)
        self._log: list[Frame] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._generate())
        self._task.add_done_callback(lambda _: self._notify())

    @property
    def id(self) -> str:
        """The response's id."""
        return responses.id_of(self.response)

    async def follow(self, after: int = -1) -> AsyncGenerator[list[Frame], None]:
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
        async for batch in paced(self.reply, responses.stream(self.response, self.reply)):
            self._log += batch
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
