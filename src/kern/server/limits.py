"""How much a request may send, and how much a user may ask for."""

import math
import time
from collections import OrderedDict

import msgspec
from fastapi import FastAPI, Request
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.run.numbers import check_count
from kern.server.problems import RequestError

# How long a count of waiting runs is relied on, in seconds; other processes submit as well.
_FRESH = 1.0

# How many users' counts are kept.
_KEPT = 10_000


class Limits(msgspec.Struct, frozen=True):
    """How much a request may send, and how much a user may ask for.

    A process counts what it is asked itself, so that N processes allow N times as much; the runs
    that wait are counted in the database. Callers without a user are not counted.

    Attributes:
        body: bytes of a request's body.
        rate: requests of a user, such as ``"1200/minute"``; None for any number.
        streams: event streams that a user has open; None for any number.
        queued: background runs of a user that have not begun; None for any number.
    """

    body: int = 32 * 2**20
    rate: str | None = "1200/minute"
    streams: int | None = 200
    queued: int | None = 1_000

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ConfigurationError: one cannot be used.
        """
        for name in ("body", "streams", "queued"):
            if (value := getattr(self, name)) is not None or name == "body":
                check_count(name, value, ConfigurationError)
        if self.rate is not None:
            try:
                parse(self.rate)
            except ValueError:
                raise ConfigurationError(
                    f"rate must be a number in a time, as in '1200/minute', not {self.rate!r:.50}."
                ) from None


class Rate:
    """Refuses requests once a user has sent too many."""

    def __init__(self, rate: str | None) -> None:
        """Count nothing yet.

        Args:
            rate: how many; see :class:`Limits`.
        """
        self._item = None if rate is None else parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, user_id: str | None) -> None:
        """Count one more request of a user.

        Raises:
            RequestError: there were too many (429).
        """
        if self._item is None or user_id is None or await self._limiter.hit(self._item, user_id):
            return
        until = (await self._limiter.get_window_stats(self._item, user_id)).reset_time
        raise RequestError(
            429,
            f"You may send {self._item}. Try again later.",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(max(math.ceil(until - time.time()), 1))},
        )


class Queue:
    """Refuses background runs once too many of a user wait.

    The count is read once a second at most, and again before a run is refused: processes that
    submit at the same moment may exceed the limit by what they submit within that second.
    """

    def __init__(self, limit: int | None) -> None:
        """Count nothing yet.

        Args:
            limit: how many may wait.
        """
        self._limit = limit
        self._free: OrderedDict[tuple[Database, str], tuple[int, float]] = OrderedDict()

    async def count(self, db: Database, user_id: str | None) -> None:
        """Count one more run of a user.

        Args:
            db: where it will be.
            user_id: the user.

        Raises:
            RequestError: as many wait already (429).
        """
        if self._limit is None or user_id is None:
            return
        free, until = self._free.pop((db, user_id), (0, 0.0))
        if free <= 0 or time.monotonic() > until:
            free = self._limit - await (await db.store()).queued_of_user(user_id)
            until = time.monotonic() + _FRESH
        if free <= 0:
            raise RequestError(
                429,
                f"{self._limit} of your runs wait already. Try again once some have begun.",
                code="queue_full",
                headers={"Retry-After": "1"},
            )
        self._free[db, user_id] = free - 1, until
        if len(self._free) > _KEPT:
            self._free.popitem(last=False)


class _BodyLimit:
    """Middleware that refuses bodies that are too large, also those that do not say how large."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._is_above(Headers(scope=scope).get("content-length", "")):
            return await self._refuse(scope, receive, send)
        size = 0
        begun = False

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message if size <= self._limit else {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            nonlocal begun
            # What the application makes of half a body is not its answer.
            if begun or size <= self._limit:
                begun = True
                await send(message)

        await self._app(scope, receiving, sending)
        if size > self._limit and not begun:
            await self._refuse(scope, receive, send)

    def _is_above(self, length: str) -> bool:
        return length.isdecimal() and (len(length) > 15 or int(length) > self._limit)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = RequestError(
            413, f"A body may have {self._limit:,} bytes.", code="request_too_large"
        )
        await error.response(Request(scope))(scope, receive, send)


def add_limits(app: FastAPI, limits: Limits) -> None:
    """Have an application refuse bodies that are too large."""
    app.add_middleware(_BodyLimit, limit=limits.body)
