"""The process of ``kern mcp`` that its client has started, and speaks with over its pipes."""

import asyncio
import os
import sys
from contextlib import redirect_stdout

from kern.cli.serve.options import Options
from kern.cli.worker.log import log_to, tell
from kern.cli.worker.target import load_agents
from kern.server.mcp.stdio import serve_stdio


def run(options: Options, user_id: str | None) -> None:
    """Serve until the client ends it.

    Args:
        options: what the user has chosen.
        user_id: the user whose runs these are; None for nobody's.

    Raises:
        KernError: the agents cannot be served.
    """
    if options.otel:
        from kern.telemetry import switch_on

        switch_on()
    with redirect_stdout(sys.stderr):  # The other one is the client's.
        agents = load_agents(options.targets)
    log_to(sys.stderr, options.log, with_pid=False, with_traces=options.otel)

    tell("listening", agents=[each.id for each in agents], by="standard input")

    async def serve() -> None:
        await serve_stdio(agents, user_id=user_id, worker=options.worker, grace=options.grace)
        tell("stopped")
        sys.stderr.flush()
        os._exit(0)  # A thread may wait for the client's next line.

    asyncio.run(serve())
