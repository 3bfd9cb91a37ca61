"""A service of somebody else's, as far as a toolkit asks it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import web

Answer: TypeAlias = Callable[[web.Request], object]
"""Returns what a request is answered with: a response, bytes, or what becomes JSON."""


@asynccontextmanager
async def serving(answers: Mapping[str, Answer]) -> AsyncIterator[str]:
    """Serve paths on a port of this machine; yields where.

    Args:
        answers: by the path, as aiohttp writes it, who answers.
    """

    def handler(answer: Answer) -> Callable[[web.Request], object]:
        async def handle(request: web.Request) -> web.StreamResponse:
            await request.read()
            found = answer(request)
            if isinstance(found, web.StreamResponse):
                return found
            if isinstance(found, bytes):
                return web.Response(body=found)
            return web.json_response(found)

        return handle

    app = web.Application(client_max_size=2**24)
    for path, answer in answers.items():
        app.router.add_route("*", path, handler(answer))  # type: ignore[arg-type] # it is one
    async with listening(app) as url:
        yield url


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a port of this machine; yields where."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        # What was accepted by now becomes a connection, which is closed below.
        await asyncio.sleep(0.0001)
        await site.stop()
        for _ in range(3):
            await asyncio.sleep(0)
        await runner.cleanup()
