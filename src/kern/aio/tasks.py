"""Work in the background of an event loop, with an owner."""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context

logger = logging.getLogger("kern")


class Tasks:
    """Tasks that live as long as they have to, and whose failures are heard of."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Begin work, in a context of its own: it serves more than who happened to begin it."""
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("work in the background failed", exc_info=error)
