"""An application behind uvicorn in a thread, and what its event streams say."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application on an event loop of its own, and yield its URL."""
    # Of another protocol its connections would wait for acknowledgements, 40 ms a request.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    give_up_at = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class Event(NamedTuple):
    """A server-sent event."""

    id: str | None
    kind: str
    data: dict[str, Any]


def events_in(text: str) -> list[Event]:
    """Return the events in a stream, without its comments."""
    found = []
    for block in text.split("\n\n"):
        lines = [each.partition(": ") for each in block.splitlines() if not each.startswith(":")]
        if fields := {name: value for name, _, value in lines}:
            found.append(Event(fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found
