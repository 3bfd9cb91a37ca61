"""What ``service.py`` measures: an agent for ``kern serve``, its model, and bare endpoints.

    python bench/service_apps.py    # the model: prints its base URL and serves until SIGTERM

The model does what the input says: ``deltas 20, pause 0.5`` answers with a text in 20 pieces, half
a second after each other. The endpoints stream the pieces that are in the file ``SERVICE_PIECES``,
a JSON list, once a request; ``/idle`` streams the first of them and then nothing.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.testing import Reply, ResponsesServer

SCHEMA, TABLE = "kern_service", "service"

_ORDER = re.compile(r"deltas (\d+), pause ([\d.]+)")


def _reply(body: dict[str, Any]) -> Reply:
    order = _ORDER.search(str(body["input"]))
    assert order is not None, "the input says what to do"
    count, pause = int(order[1]), float(order[2])
    return Reply.text(*(f"word {number} " for number in range(count))).slow(pause=pause)


async def _serve() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ResponsesServer(default=_reply, record=False) as server:
        print(server.base_url, flush=True)
        await stop.wait()


async def pieces() -> AsyncIterator[bytes]:
    """Yield what the file holds."""
    for piece in _PIECES:
        yield piece


async def idle() -> AsyncIterator[bytes]:
    """Yield one piece, and then nothing."""
    yield _PIECES[0]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
elif "SERVICE_DATABASE" in os.environ:
    agent = Agent(
        "Service",
        OpenAIResponses("any", base_url=os.environ["SERVICE_MODEL"], api_key="none"),
        db=PostgresDb(os.environ["SERVICE_DATABASE"], TABLE, SCHEMA),
    )
elif "SERVICE_PIECES" in os.environ:
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    from kern.server.streaming import EventStream, Streams

    _PIECES = [each.encode() for each in json.loads(Path(os.environ["SERVICE_PIECES"]).read_text())]
    _STREAMS = Streams()

    def _app(respond: Any) -> Starlette:
        async def stream(request: Request) -> Response:
            response: Response = respond(idle() if request.url.path == "/idle" else pieces())
            return response

        return Starlette(routes=[Route(path, stream) for path in ("/stream", "/idle")])

    starlette = _app(lambda found: StreamingResponse(found, media_type="text/event-stream"))
    sse_starlette = _app(EventSourceResponse)
    kern = _app(lambda found: EventStream(found, _STREAMS))
