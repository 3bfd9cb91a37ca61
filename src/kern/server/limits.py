"""How much a request may send, and how much a user may ask for."""

import msgspec
from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kern.server.problems import RequestError


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
