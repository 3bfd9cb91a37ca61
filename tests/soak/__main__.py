"""The soak: thousands of runs in a storm, and proof that none was lost or done twice.

``python -m tests.soak --seconds 1200`` prints the figures, and fails with a list of the breaches.
"""

import argparse
import asyncio
import base64
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

import asyncpg
from rich.console import Console

from kern.local.postgres import EmbeddedPostgres
from tests.soak.checks import breaches
from tests.soak.database import changes, commits, leftovers, prepare, stored
from tests.soak.facts import Facts, gather
from tests.soak.ledger import Ledger
from tests.soak.load import Load
from tests.soak.processes import Client, Fleet, Outside
from tests.soak.report import figures
from tests.soak.storm import Storm

_WORKERS = 4
_CLIENTS = 2

# How long after the storm it may take until one more run has ended, or nothing is left, in seconds.
_DRAIN = 60.0

_SHOWN = 40


class Soak:
    """One soak; the ledger and the logs go to ``directory``, the database to ``data``.

    Attributes:
        processor: the processor time of its workers, in seconds.
    """

    def __init__(self, directory: Path, data: Path, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._seed = seed
        self._path = directory / "ledger"
        self._logs = directory / "logs"
        self._logs.mkdir()
        self._ledger = Ledger(self._path)
        self._breaches: list[str] = []
        self.processor = 0.0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._postgres = EmbeddedPostgres(
            data, port, options={"fsync": "off", "max_connections": "200"}
        )

    async def run(self) -> tuple[Facts, float, list[str]]:
        """Return the facts, how long the runs took, and the breaches."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        self._postgres.start()
        try:
            await prepare(self._postgres.url)
            load, seconds = await self._storm()
            facts = await self._facts(load)
            return facts, seconds, [*self._breaches, *breaches(facts)]
        finally:
            self._postgres.stop()

    async def _storm(self) -> tuple[Load, float]:
        environment = {
            "SOAK_LEDGER": str(self._path),
            "SOAK_DB": self._postgres.url,
            "SSL_CERT_DIR": os.devnull,
            "KERN_WEBHOOK_ALLOW_PRIVATE": "1",
            "KERN_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"kern" * 8).decode(),
        }
        with ExitStack() as stack:
            outside = Outside(environment)
            stack.callback(outside.close)
            environment["SOAK_MODEL"] = outside.model
            clients = [await Client.start(environment) for _ in range(_CLIENTS)]
            fleet = Fleet(_WORKERS, environment, self._logs, self._ledger, Random(self._seed))
            stack.callback(fleet.close)
            tending = asyncio.create_task(fleet.tend())
            load = Load(clients, fleet, outside.webhooks, self._ledger, self._seed)
            storm = Storm(fleet, self._postgres, self._ledger, Random(self._seed + 1))
            began = time.monotonic()
            await asyncio.gather(load.press(self._seconds), storm.rage(self._seconds))
            ended: set[asyncio.Task[None]] | None = None
            while load.living and (ended is None or ended):
                # A session that is behind has its runs one after the other.
                ended, _ = await asyncio.wait(
                    load.living, timeout=_DRAIN, return_when=asyncio.FIRST_COMPLETED
                )
            seconds = time.monotonic() - began
            for task, run in load.living.items():
                self._breaches.append(f"{run.plan.run_id}: a user still waits for it")
                task.cancel()
            await self._calm_down()
            tending.cancel()
            for client in clients:
                await client.close()
        self._breaches += fleet.breaches + load.breaches
        self.processor = fleet.processor
        return load, seconds

    async def _calm_down(self) -> None:
        """Wait until nothing is left over."""
        connection = await asyncpg.connect(self._postgres.url)
        end = time.monotonic() + _DRAIN
        found = await leftovers(connection)
        while found and time.monotonic() < end:
            await asyncio.sleep(0.5)
            found = await leftovers(connection)
        self._breaches += found
        await connection.close()

    async def _facts(self, load: Load) -> Facts:
        connection = await asyncpg.connect(self._postgres.url)
        facts = gather(
            load.asked,
            await changes(connection),
            await commits(connection),
            await stored(connection),
            self._path,
            self._logs,
        )
        await connection.close()
        return facts


def main() -> int:
    """Soak, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the storm lasts")
    parser.add_argument("--seed", type=int, default=None, help="repeats the choices of a soak")
    parser.add_argument("--keep", type=Path, help="a directory for the ledger and the logs")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    console = Console(width=110, soft_wrap=True)
    console.print(f"seed {seed}, {options.seconds:g} s")
    with ExitStack() as stack:
        data, own = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kern-soak-")))
            for _ in range(2)
        )
        directory = options.keep or own
        directory.mkdir(exist_ok=True)
        soak = Soak(directory, data, options.seconds, seed)
        facts, seconds, found = asyncio.run(soak.run())
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = soak.processor + sum(each.ru_utime + each.ru_stime for each in used)
    console.print(figures(facts, seconds, processor))
    for complaint, times in facts.complaints.most_common(10):
        console.print(f"{times} times in the logs: {complaint}", markup=False)
    for breach in found[:_SHOWN]:
        console.print(f"BREACH {breach}", markup=False)
    console.print(f"{len(found)} breaches; seed {seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
