"""Writes of many runs that share a statement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from kern.errors import DatabaseUnavailableError

# What a statement takes of items that are large.
_BYTES = 4 * 1024 * 1024

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Gathers writes while the last statement is under way, and sends them as the next one.

    An idle system waits for nothing; as load rises, the cost a write falls.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        limit: int = 100,
        size: Callable[[Item], int] | None = None,
    ) -> None:
        """Prepare.

        Args:
            write: writes the items in one statement, all or none; returns a result for each.
            limit: the number of items that share a statement at most.
            size: says how many bytes an item is, about; a statement takes 4 MiB, or one item. By
                default all are small.
        """
        self._write = write
        self._limit = limit
        self._size = size
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._put_count = self._answered_count = 0

    async def put(self, item: Item) -> Result:
        """Write the item, together with others that come at the same time.

        Raises:
            Exception: whatever writing this item, with others or alone, raised.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._put_count += 1
        self._send()
        return await future

    async def answered(self) -> None:
        """Wait until what was put so far is written, or has failed.

        An item is written although who has put it was cancelled meanwhile.
        """
        count = self._put_count
        while self._answered_count < count and self._sending is not None:
            await asyncio.wait({self._sending})

    def _send(self) -> None:
        if self._sending is None and self._waiting:
            self._sending = asyncio.create_task(self._send_batch())
            # Not a `finally`: a task that is cancelled before its first step runs none.
            self._sending.add_done_callback(self._sent)

    def _sent(self, _sending: object) -> None:
        self._sending = None
        self._send()

    async def _send_batch(self) -> None:
        count = self._next_count()
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        try:
            await self._answer(batch)
            self._answered_count += len(batch)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise

    def _next_count(self) -> int:
        """Return how many of the waiting items share the next statement."""
        if self._size is None or len(self._waiting) == 1:
            return self._limit
        total = 0
        for count, (item, _) in enumerate(self._waiting[: self._limit]):
            total += self._size(item)
            if total > _BYTES:
                return max(1, count)
        return self._limit

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._write([item for item, _ in batch])
        except DatabaseUnavailableError as error:
            # It would refuse each of them alone as well, after as long a wait.
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except Exception as error:
            if len(batch) > 1:
                # One bad item must not fail the others: each is tried alone.
                for each in batch:
                    await self._answer([each])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


async def to_the_end(
    write: Callable[[], Awaitable[Result]],
    last: Callable[[], Awaitable[object]] | None = None,
) -> Result:
    """Await a guarded write although the task is cancelled, then pass the cancellation on.

    ``asyncio.run`` interrupts every task once when it ends, those that write included. A guarded
    write can be sent twice, so it is: the second time nothing interrupts it. Where the database
    is away by then it stays unwritten, as after a crash.

    Args:
        write: the write.
        last: the second one, where that is to be less patient.
    """
    try:
        return await write()
    except asyncio.CancelledError:
        with suppress(DatabaseUnavailableError):
            await (last or write)()
        raise
