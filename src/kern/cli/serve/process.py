"""The processes of ``kern serve`` and ``kern ui``: one, or several that uvicorn looks after."""

import math
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from kern.cli.serve.options import Options
from kern.cli.worker.log import claim_output, log_to, tell
from kern.cli.worker.target import load_agents
from kern.db.methods import Methods
from kern.errors import ConfigurationError
from kern.server.app import create_app, create_mcp_app
from kern.server.auth import Auth
from kern.server.caller import NoAuthentication
from kern.server.readiness import ENDING
from kern.server.service import Service

# Where the other processes find what they have to know.
_OPTIONS = "_KERN_SERVE"

# How long requests may take to end after the grace, in seconds; then they are cancelled.
_FAREWELL = 5

# Where prometheus-client counts what several processes do.
_COUNTS = "PROMETHEUS_MULTIPROC_DIR"

_BACKLOG = 2048

# Clients that poll keep their connections; one that is closed on them costs a request.
_KEEP_ALIVE = 75


def application() -> FastAPI:
    """Return the application of a process that uvicorn has started."""
    return _application(Options.from_json(os.environ[_OPTIONS]))


def run(options: Options, host: str, port: int) -> None:
    """Serve until the end.

    Args:
        options: what the user has chosen.
        host: address to listen on.
        port: TCP port; 0 takes a free one.

    Raises:
        KernError: the agents cannot be served.
    """
    # The processes of several would find a mistake each for itself, again and again.
    app = _application(options)
    listening = _listen(host, port)
    service: Service = app.state.kern
    tell("listening", agents=list(service.agents), url=_url(listening), processes=options.workers)
    several = options.workers > 1
    os.environ[_OPTIONS] = options.to_json()
    if several:
        config = _config(f"{__name__}:application", options.grace, options.workers)
        supervisor = _Supervisor(config, sockets=[listening])
        with _counting_together():
            supervisor.run()
        has_begun = all(each.exitcode != STARTUP_FAILURE for each in supervisor.processes)
    else:
        has_begun = _run_here(app, listening, options.grace)
    if not has_begun:
        sys.exit(STARTUP_FAILURE)
    tell("stopped")


def run_alone(db: Methods, port: int, log: str) -> None:
    """Show what is in a database to this machine, until the end.

    Args:
        db: the database.
        port: TCP port; 0 takes a free one.
        log: ``text`` or ``json``.

    Raises:
        KernError: the port or the database cannot be used.
    """
    from kern.server.ui.alone import create_app_alone

    stream = claim_output(log)
    app = create_app_alone(db)
    log_to(stream, log, with_pid=False)
    listening = _listen("127.0.0.1", port)
    tell("listening", url=f"{_url(listening)}/ui")
    if not _run_here(app, listening, grace=0):
        sys.exit(STARTUP_FAILURE)
    tell("stopped")


def _run_here(app: FastAPI, listening: socket.socket, grace: float) -> bool:
    """Serve in this process until the end, and say whether that has begun."""
    _end_at_signals(app)
    server = uvicorn.Server(_config(app, grace))
    server.run(sockets=[listening])
    return server.started


def _config(app: FastAPI | str, grace: float, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(grace) + _FAREWELL,
    )


class _Supervisor(Multiprocess):
    """Looks after several processes; when they are to end, it takes no connections either."""

    @override
    def terminate_all(self) -> None:
        for each in self.sockets:
            each.close()
        super().terminate_all()


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections at once, though nobody answers them yet.

    Raises:
        ConfigurationError: the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only over sockets that say that they are of TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with --port "
            "and --host."
        ) from None
    listening.set_inheritable(True)
    return listening


def _url(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _application(options: Options) -> FastAPI:
    stream = claim_output(options.log)
    if options.otel:
        from kern.telemetry import switch_on

        switch_on()
    agents = load_agents(options.targets)
    auth: Auth = NoAuthentication(anywhere=True) if options.auth == "insecure" else options.auth
    how: Any = {"auth": auth, "worker": options.worker, "grace": options.grace}
    app = (
        create_mcp_app(agents, **how)
        if options.form == "mcp"
        else create_app(agents, ui=options.ui, **how)
    )
    log_to(stream, options.log, with_pid=options.workers > 1, with_traces=options.otel)
    return app


def _end_at_signals(app: FastAPI) -> None:
    """Have a signal end the process with code 0 as long as there is nothing in hand.

    While uvicorn serves, signals are its own; once it has ended it raises them again.
    """
    service: Service = app.state.kern

    def end(number: int, frame: FrameType | None) -> None:
        if service.readiness.state != ENDING:
            os._exit(0)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)


@contextmanager
def _counting_together() -> Iterator[None]:
    """Give the processes that are started within this block a place to count together."""
    if _COUNTS in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="kern-serve-") as directory:
        os.environ[_COUNTS] = directory
        yield
