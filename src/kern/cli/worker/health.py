"""What a worker tells those who look after it, over HTTP."""

import asyncio
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from typing_extensions import override

from kern.errors import ConfigurationError

READY = "ready"

_ANSWER_TIME = 2.0


class HealthServer:
    """Answers ``/healthz`` and ``/readyz`` from threads of its own.

    So it answers although the event loop is blocked, and says that it is.
    """

    def __init__(
        self, host: str, port: int, state: Callable[[], str], answers: Callable[[], bool]
    ) -> None:
        """Listen, without answering yet.

        Args:
            host: address to listen on.
            port: TCP port; 0 takes a free one.
            state: says ``ready``, or why the worker is not.
            answers: says whether the worker's event loop answers; it may take its time.

        Raises:
            ConfigurationError: the port cannot be used.
        """
        try:
            self._server = _Server(host, port, state, answers)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"The health checks cannot be served on port {port} of {host}: {reason}. "
                f"Choose another with --port and --host."
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="kern-health", daemon=True
        )
        thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def loop_answers(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[None, None, None]]
) -> bool:
    """Say whether an event loop finishes a small piece of work within 2 s.

    Args:
        loop: the loop, of another thread.
        work: what it is to do.
    """
    future = asyncio.run_coroutine_threadsafe(work(), loop)
    try:
        future.result(_ANSWER_TIME)
    except TimeoutError:
        future.cancel()
        return False
    return True


class _Server(ThreadingHTTPServer):
    def __init__(
        self, host: str, port: int, state: Callable[[], str], answers: Callable[[], bool]
    ) -> None:
        self.state = state
        self.answers = answers
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @override
    def server_bind(self) -> None:
        # HTTPServer would look up the machine's name, which can take seconds.
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/healthz":
                alive = self.server.answers()
                self._answer(None if alive else "an event loop has not answered for 2 s")
            case "/readyz":
                state = self.server.state()
                self._answer(None if state == READY else state)
            case _:
                self._send(HTTPStatus.NOT_FOUND, {"status": "not found"})

    def _answer(self, reason: str | None) -> None:
        if reason is None:
            self._send(HTTPStatus.OK, {"status": "ok"})
        else:
            body = {"status": "unavailable", "reason": reason}
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, body)

    def _send(self, status: HTTPStatus, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *_: object) -> None:
        """Print nothing: a look every few seconds is no news."""
