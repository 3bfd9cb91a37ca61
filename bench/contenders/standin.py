"""Asks the stand-in model what it saw, over its channel."""

import asyncio
import itertools
import json
import os
from typing import Any

_numbers = itertools.count()


def new_name(kind: str) -> str:
    """Return a name that nobody else has."""
    return f"{kind}-{os.getpid()}-{next(_numbers)}"


class StandIn:
    """The stand-in model's side of the story. Times are those of ``time.monotonic()``."""

    def __init__(self, port: int) -> None:
        """Take the TCP port of the channel."""
        self._port = port

    async def arrival(self, mark: str, count: int = 1, timeout: float = 30.0) -> float:
        """Wait for the ``count``-th request with this mark, and return when it came.

        Raises:
            TimeoutError: it did not come within so many seconds.
        """
        answer = await self._ask(wait="arrival", mark=mark, count=count, timeout=timeout)
        if answer["at"] is None:
            raise TimeoutError(f"no request {count} with the mark {mark} within {timeout} s")
        return float(answer["at"])

    async def left(self) -> int:
        """Return how many clients have left before they had their answer."""
        return int((await self._ask())["left"])

    async def leaving(self, count: int, timeout: float) -> float | None:
        """Wait until so many have left; return when, or None after ``timeout`` seconds."""
        at: float | None = (await self._ask(wait="left", count=count, timeout=timeout))["at"]
        return at

    async def holding(self, count: int, timeout: float) -> int:
        """Wait until it answers so many requests at once; return how many after all."""
        return int((await self._ask(wait="in_flight", count=count, timeout=timeout))["in_flight"])

    async def sent(self, mark: str) -> list[float]:
        """Return when each piece of the streamed answer to this mark was sent."""
        return [float(moment) for moment in (await self._ask(mark=mark))["sent"]]

    async def processor(self) -> float:
        """Return the processor time that it has used, in seconds."""
        return float((await self._ask())["processor"])

    async def _ask(self, **question: object) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
            return answer
        finally:
            writer.close()
