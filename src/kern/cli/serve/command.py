"""``kern serve``: agents over HTTP, as models of OpenAI's Responses API and in the runs API."""

from enum import StrEnum
from typing import Annotated

import typer

from kern.cli.worker.command import Log, LogForm, Otel, Targets


class AuthBy(StrEnum):
    """How callers are known."""

    keys = "keys"
    jwt = "jwt"
    none = "none"


Host = Annotated[
    str,
    typer.Option(
        help="Address to listen on. Beyond 127.0.0.1 and ::1, such as on 0.0.0.0, callers must be "
        "known by --auth."
    ),
]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one and prints it.")
]
AuthOption = Annotated[
    AuthBy | None,
    typer.Option(
        show_default=False,
        help="How callers are known. keys: by API keys in the agents' database, see «kern keys». "
        "jwt: by JSON Web Tokens, as KERN_JWT_SECRET or KERN_JWT_JWKS_URL say. none: not at all; "
        "the default on this machine's own addresses, where the header Authorization is ignored.",
    ),
]
WorkerOption = Annotated[
    bool,
    typer.Option(
        "--worker/--no-worker",
        help="Whether it executes background runs, also those that others have submitted. Without, "
        "it only accepts them, and processes of «kern worker» execute them.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many processes serve requests, and with --worker execute runs. One that ends "
        "unexpectedly is started again.",
    ),
]
Grace = Annotated[
    float,
    typer.Option(
        min=0,
        help="Seconds that foreground runs have to end after SIGTERM or Ctrl-C; then they fail "
        "with the code server_shutdown. Background runs are released at once, and go on in another "
        "process or at the next start; streams of them end, and can be read on from there. It "
        "exits with code 0.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Listen beyond this machine without knowing callers: everybody who reaches the port "
        "may do everything. For where something in front of it lets in only whom you know.",
    ),
]

Ui = Annotated[
    bool,
    typer.Option(
        "--ui/--no-ui",
        help="Whether runs, sessions, schedules, workers and approvals are shown in a browser, at "
        "/ui, to the same callers as the API.",
    ),
]


def serve(
    targets: Targets,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    auth: AuthOption = None,
    worker: WorkerOption = True,
    workers: Workers = 1,
    grace: Grace = 10.0,
    insecure: Insecure = False,
    ui: Ui = True,
    log: LogForm = Log.text,
    otel: Otel = False,
) -> None:
    """Serve agents over HTTP until SIGTERM or Ctrl-C.

    Every client of OpenAI's API is a client: base_url="http://127.0.0.1:8000/v1", and the agent's
    id as the model.

    kern serve app:agents --host 0.0.0.0 --auth keys
    """
    from kern.cli.serve.options import Options, auth_of
    from kern.extras import extra

    way = auth_of(host, None if auth is None else auth.value, insecure=insecure)
    options = Options(targets, way, worker, workers, grace, log.value, otel, ui)
    with extra("server"):
        from kern.cli.serve.process import run
    run(options, host, port)
