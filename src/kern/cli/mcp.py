"""``kern mcp``: agents as tools of a server of the Model Context Protocol."""

from typing import Annotated

import typer

from kern.cli.serve.command import (
    AuthOption,
    Grace,
    Insecure,
    WorkerOption,
    Workers,
)
from kern.cli.worker.command import Log, LogForm, Otel, Targets
from kern.errors import ConfigurationError

Http = Annotated[
    bool,
    typer.Option(
        "--http",
        help="Serve over streamable HTTP, at /mcp, instead of over the pipes of this process. "
        "«kern serve» has the same beside its own API.",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        show_default="127.0.0.1",
        help="With --http: address to listen on. Beyond this machine's own, callers must be known "
        "by --auth.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        show_default="8000",
        help="With --http: TCP port; 0 takes a free one and prints it.",
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        help="Without --http: the user whose runs these are, and who sees no others. By default "
        "nobody's, who sees all."
    ),
]


def mcp(
    targets: Targets,
    http: Http = False,
    host: Host = None,
    port: Port = None,
    auth: AuthOption = None,
    user: User = None,
    worker: WorkerOption = True,
    workers: Workers = 1,
    grace: Grace = 10.0,
    insecure: Insecure = False,
    log: LogForm = Log.text,
    otel: Otel = False,
) -> None:
    """Serve agents as tools of the Model Context Protocol.

    A client starts it, and is given this command. With --http it serves many, until SIGTERM or
    Ctrl-C.

    kern mcp app:agents

    kern mcp app:agents --http --port 8001
    """
    from kern.cli.serve.options import Options, auth_of
    from kern.extras import extra

    beside = {"--host": host, "--port": port, "--auth": auth, "--insecure": insecure or None}
    beside |= {"--workers": None if workers == 1 else workers}
    if not http and (given := [name for name, value in beside.items() if value is not None]):
        raise ConfigurationError(f"{', '.join(given)}: only with --http.")
    if http and user is not None:
        raise ConfigurationError("--user: not with --http, where callers are known by --auth.")
    host = "127.0.0.1" if host is None else host
    way = auth_of(host, None if auth is None else auth.value, insecure=insecure)
    options = Options(targets, way, worker, workers, grace, log.value, otel, form="mcp")
    with extra("server"), extra("mcp"):
        if http:
            from kern.cli.serve.process import run

            return run(options, host, 8000 if port is None else port)
        from kern.cli.serve.pipes import run as run_through_pipes
    run_through_pipes(options, user)
