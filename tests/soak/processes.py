"""The processes of a soak: workers, clients, and the world outside."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import psutil

from tests.soak.ledger import Ledger
from tests.soak.worker import forkserver, work

ROOT = Path(__file__).parents[2]
HEARTBEAT = 2.0
"""Seconds after which a worker that says nothing counts as lost."""

_CONCURRENCY = 30


class AwayError(Exception):
    """A client could not reach the database; whether it was heard is not known."""


class Client:
    """One that submits, cancels and waits; see ``client.py``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[object]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, environment: dict[str, str]) -> "Client":
        """Start it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.soak.client"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | environment | {"KERN_IN_PROCESS_WORKER": "0"},
            limit=2**20,
        )
        return cls(process)

    async def ask(self, do: str, run_id: str, **more: object) -> object:
        """Have it do something, and return its answer.

        Raises:
            AwayError: the database was away.
            RuntimeError: it failed otherwise, which it must not.
        """
        assert self._process.stdin is not None
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        question = {"number": number, "do": do, "run_id": run_id, **more}
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        try:
            return await self._asked[number]
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            asked = self._asked.get(told["number"])
            if asked is None or asked.done():  # Whoever asked has given up.
                continue
            if "error" not in told:
                asked.set_result(told["answer"])
            elif told["error"] == "DatabaseUnavailableError":
                asked.set_exception(AwayError(told["message"]))
            else:
                asked.set_exception(RuntimeError(f"{told['error']}: {told['message']}"))


class Fleet:
    """The workers; one that is gone is replaced at once.

    Attributes:
        breaches: the ends that nobody had a hand in.
        processor: the processor time of the workers that are gone, in seconds.
    """

    def __init__(
        self, size: int, environment: dict[str, str], logs: Path, ledger: Ledger, chance: Random
    ) -> None:
        """Start them."""
        self._environment = environment | {
            "KERN_HEARTBEAT": str(HEARTBEAT),
            "KERN_CONCURRENCY": str(_CONCURRENCY),
        }
        self._logs = logs
        self._ledger = ledger
        self._chance = chance
        self._numbers = count(1)
        self._stopped: set[int] = set()
        self.breaches: list[str] = []
        self.processor = 0.0
        self._workers = [self._start() for _ in range(size)]

    async def tend(self) -> None:
        """Replace those that are gone, until the task is cancelled."""
        while True:
            await asyncio.sleep(0.05)
            for place, worker in enumerate(self._workers):
                if worker.exitcode is not None:
                    if worker.exitcode not in (-signal.SIGKILL, 0):
                        self.breaches.append(
                            f"worker {worker.pid} ended by itself, with {worker.exitcode}"
                        )
                    self._workers[place] = self._start()

    def kill(self) -> None:
        """Kill one, whatever it does."""
        worker = self._chance.choice(self._workers)
        self._count_processor_time(worker)
        self._ledger.write("kill", pid=worker.pid)
        worker.kill()

    async def pause(self, seconds: float) -> None:
        """Stop one, and have it go on later."""
        pid = self._chance.choice([each for each in self._pids() if each not in self._stopped])
        self._stopped.add(pid)
        self._ledger.write("stop", pid=pid)
        _send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._ledger.write("continue", pid=pid)
            _send(pid, signal.SIGCONT)
            self._stopped.discard(pid)

    def close(self) -> None:
        """End them all."""
        for worker in self._workers:
            self._count_processor_time(worker)
            worker.kill()
            worker.join()

    def _pids(self) -> list[int]:
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def _start(self) -> BaseProcess:
        log = self._logs / f"worker-{next(self._numbers)}"
        worker = forkserver.Process(target=work, args=(self._environment, log), daemon=True)
        worker.start()
        self._ledger.write("start", pid=worker.pid)
        return worker

    def _count_processor_time(self, worker: BaseProcess) -> None:
        with suppress(psutil.NoSuchProcess):
            used = psutil.Process(worker.pid).cpu_times()
            self.processor += used.user + used.system


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Outside:
    """The model and the receiver of webhooks; see ``outside.py``.

    Attributes:
        model: the address of the model.
        webhooks: the address for webhooks.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.outside"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        assert self._process.stdout is not None
        self.model, self.webhooks = self._process.stdout.readline().split()

    def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
