"""A worker's process: it does what ``kern worker`` does, and writes to the ledger how it fares.

Once it is ready it also does what it is asked, like an application that executes and submits.
"""

import asyncio
import logging
import multiprocessing
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from kern.errors import DatabaseUnavailableError
from tests.soak.ledger import Ledger

STARVED = 0.3
"""Seconds for which a worker has to wait for the processor before it is said that it starves."""

forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(["tests.soak.preloaded", "tests.soak.worker"])


class _ToLedger(logging.Handler):
    """Writes down which process executes which attempt."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    @override
    def emit(self, record: logging.LogRecord) -> None:
        said = vars(record)
        self._ledger.write(said["event"], run=said["run_id"], attempt=said["attempt"])


def work(environment: dict[str, str], log: Path, questions: socket.socket) -> None:
    """Execute runs, and do what is asked, until the end of the process."""
    os.environ.update(environment)
    logging.basicConfig(filename=log, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ledger = Ledger(Path(environment["SOAK_LEDGER"]))
    runs = logging.getLogger("kern.runs")
    runs.setLevel(logging.INFO)
    runs.propagate = False
    runs.addHandler(_ToLedger(ledger))
    with suppress(DatabaseUnavailableError):  # One that cannot begin ends; another one is started.
        asyncio.run(_serve(ledger, questions))


async def _serve(ledger: Ledger, questions: socket.socket) -> None:
    from kern.agent.serving import serve
    from tests.soak.agents import agents

    is_ready = asyncio.Event()

    def ready(_: bool) -> None:
        ledger.write("ready")
        is_ready.set()

    serving = asyncio.create_task(serve(agents, ready=ready))
    answering = asyncio.create_task(_answer(questions, is_ready))
    slept = time.monotonic()
    while not serving.done():
        await asyncio.sleep(0.1)
        late, slept = time.monotonic() - slept - 0.1, time.monotonic()
        if late > STARVED:
            ledger.write("starved", note=f"{late:.3f}")
    answering.cancel()
    serving.result()


async def _answer(questions: socket.socket, is_ready: asyncio.Event) -> None:
    from tests.soak.answering import answer_all

    await is_ready.wait()
    reader, writer = await asyncio.open_connection(sock=questions)
    await answer_all(reader, lambda answer: writer.write(answer.encode()))
