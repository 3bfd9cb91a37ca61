"""Headers of every response: what a browser may do with it, and which pages may ask for it."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Responses are data: nothing in them is to be executed, framed, guessed at or kept.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# What clients read of responses, beside what browsers let them read anyway.
_EXPOSED = ("Location", "Retry-After", "openai-poll-after-ms", "x-should-retry")


class _Secure:
    """Middleware that adds the headers where a response does not have them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


def add_headers(app: FastAPI, cors_origins: Sequence[str]) -> None:
    """Have an application send the headers; called last, so that every response has them.

    Args:
        app: the application.
        cors_origins: the origins whose pages may read what it answers.
    """
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(_Secure)
