"""``kern model``: a small model on this machine."""

import os
import signal
from typing import Annotated

import typer

app = typer.Typer(help="A small real model on this machine, for when no key is at hand.")


@app.callback()
def model() -> None:
    """A small real model on this machine, for when no key is at hand."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8642,
) -> None:
    """Serve SmolLM2-135M-Instruct with an OpenAI-compatible interface until Ctrl-C."""
    from kern.local.model import EmbeddedModel

    # Blocked before the server makes its threads, a signal waits until sigwait takes it here.
    stopping = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    server = EmbeddedModel(host, port)
    server.start()
    typer.echo(f"Serving at {server.url} (Ctrl-C stops)")
    signal.sigwait(stopping)
    # A stop would first complete the answers under way, for a minute or more.
    os._exit(0)
