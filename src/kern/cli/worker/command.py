"""``kern worker``: processes that only execute runs."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kern.cli.worker.log import Stream
    from kern.cli.worker.options import Options
    from kern.cli.worker.process import WorkerProcess
    from kern.cli.worker.supervisor import Supervisor


class Log(StrEnum):
    """How the log is written."""

    text = "text"
    json = "json"


Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="MODULE:ATTRIBUTE...",
        show_default=False,
        help="The agents: an agent, or a list or tuple of agents, in a module of the current "
        "directory or the Python path; for example app:agents.",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        min=1,
        envvar="KERN_CONCURRENCY",
        help="Its slots: how many background runs each process executes at once, on each database. "
        "What finds none waits, or another process executes it.",
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        min=0,
        help="How many processes; 0 for one a processor core. Where there are more than one, one "
        "that ends unexpectedly is started again.",
    ),
]
Heartbeat = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=3600,
        envvar="KERN_HEARTBEAT",
        help="Seconds without a sign of life after which the runs of a process count as lost and "
        "others take them over.",
    ),
]
Grace = Annotated[
    float,
    typer.Option(
        min=0,
        help="Seconds that runs in flight have to end after SIGTERM or Ctrl-C. The worker takes "
        "nothing new then, hands over what has not ended, and exits with code 0. A second signal "
        "ends it at once, with code 1; others take its runs over after the heartbeat. Neither "
        "loses a run.",
    ),
]
MaxThreads = Annotated[
    int,
    typer.Option(
        min=1,
        envvar="KERN_MAX_THREADS",
        help="How many threads each process may have for synchronous functions, such as tools. 40 "
        "are usual; a call that has waited a second for one gets an extra one, up to this number.",
    ),
]
DatabaseWait = Annotated[
    float | None,
    typer.Option(
        min=0,
        envvar="KERN_DATABASE_WAIT",
        show_default=False,
        help="Seconds for which the start waits for a database that cannot be reached yet; 0 gives "
        "up at once, with code 1. By default it waits without end, and says so once.",
    ),
]
Retention = Annotated[
    str | None,
    typer.Option(
        envvar="KERN_RETENTION",
        show_default=False,
        help="How long runs that have ended are kept, such as 12h or 30d; by default without end.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="TCP port for health checks; 0 takes a free one and prints it. By default there are "
        "none. /healthz answers 200 while the event loop of each process answers within 2 "
        "seconds, /readyz while all of them take runs and reach the database; otherwise 503.",
    ),
]
Host = Annotated[str, typer.Option(help="Address for the health checks.")]
LogForm = Annotated[
    Log,
    typer.Option("--log", help="What is printed for each state change: a line, or a JSON object."),
]
Otel = Annotated[
    bool,
    typer.Option(
        help="Send spans and metrics of runs by OpenTelemetry, as OTEL_* in the environment say: "
        "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and so on. It needs the extra telemetry, "
        "opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http.",
    ),
]


def worker(
    targets: Targets,
    concurrency: Concurrency = 100,
    processes: Processes = 1,
    heartbeat: Heartbeat = 15.0,
    grace: Grace = 10.0,
    database_wait: DatabaseWait = None,
    max_threads: MaxThreads = 1000,
    retention: Retention = None,
    port: Port = None,
    host: Host = "127.0.0.1",
    log: LogForm = Log.text,
    otel: Otel = False,
) -> None:
    """Execute the background runs of agents until SIGTERM or Ctrl-C.

    kern worker app:agents --processes 0 --concurrency 50
    """
    os.environ["KERN_CONCURRENCY"] = str(concurrency)
    os.environ["KERN_MAX_THREADS"] = str(max_threads)
    os.environ["KERN_HEARTBEAT"] = str(heartbeat)
    os.environ["KERN_IN_PROCESS_WORKER"] = "1"
    if retention is not None:
        os.environ["KERN_RETENTION"] = retention

    from kern.cli.worker.health import HealthServer
    from kern.cli.worker.log import claim_output
    from kern.cli.worker.options import Options
    from kern.dispatch.settings import Settings

    Settings.of()  # Each process would find a mistake for itself, again and again.
    options, stream = (
        Options(targets, grace, log.value, database_wait, otel),
        claim_output(log.value),
    )
    count = processes or os.cpu_count() or 1
    made = _supervisor(options, count, stream) if count > 1 else _process(options, stream)
    if port is None:
        made.run()
        return
    with HealthServer(host, port, made.state, made.answers) as health:
        made.run(health.url)


def _process(options: "Options", stream: "Stream") -> "WorkerProcess":
    from kern.cli.worker.process import WorkerProcess

    return WorkerProcess(options, stream)


def _supervisor(options: "Options", processes: int, stream: "Stream") -> "Supervisor":
    # It does without the agents, and so without what they import.
    from kern.cli.worker.supervisor import Supervisor

    return Supervisor(options, processes, stream)
