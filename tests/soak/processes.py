"""The processes of a soak: workers, clients, and the world outside."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import psutil

from tests.soak.asking import Questions
from tests.soak.ledger import Ledger
from tests.soak.worker import forkserver, work

ROOT = Path(__file__).parents[2]
HEARTBEAT = 2.0
"""Seconds after which a worker that says nothing counts as lost."""

_CONCURRENCY = 30


class Client:
    """One that submits, cancels and waits; see ``client.py``.

    Attributes:
        questions: asks it.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use a process that has been started."""
        assert process.stdout is not None
        assert process.stdin is not None
        self.questions = Questions()
        self._process = process
        self._conversing = asyncio.create_task(
            self.questions.converse(process.stdout, process.stdin)
        )

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

    async def close(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._conversing


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    questions: Questions
    conversing: asyncio.Task[None]


class Fleet:
    """The workers; one that is gone is replaced at once.

    Attributes:
        size: how many there are.
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
        self.size = size
        self.breaches: list[str] = []
        self.processor = 0.0
        self._workers = [self._start() for _ in range(size)]

    async def tend(self) -> None:
        """Replace those that are gone, until the task is cancelled."""
        while True:
            await asyncio.sleep(0.05)
            for place, worker in enumerate(self._processes()):
                if worker.exitcode is not None:
                    if worker.exitcode not in (-signal.SIGKILL, 0):
                        self.breaches.append(
                            f"worker {worker.pid} ended by itself, with {worker.exitcode}"
                        )
                    self._workers[place] = self._start()

    def questions(self, place: int) -> Questions:
        """Return what asks the worker at a place, which is another one from time to time."""
        return self._workers[place].questions

    def kill(self) -> None:
        """Kill one, whatever it does."""
        worker = self._chance.choice(self._processes())
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
        for worker in self._processes():
            self._count_processor_time(worker)
            worker.kill()
            worker.join()

    def _processes(self) -> list[BaseProcess]:
        return [worker.process for worker in self._workers]

    def _pids(self) -> list[int]:
        return [process.pid for process in self._processes() if process.pid is not None]

    def _start(self) -> _Worker:
        log = self._logs / f"worker-{next(self._numbers)}"
        ours, its = socket.socketpair()
        with its:
            process = forkserver.Process(
                target=work, args=(self._environment, log, its), daemon=True
            )
            process.start()
        self._ledger.write("start", pid=process.pid)
        questions = Questions()
        return _Worker(process, questions, asyncio.create_task(_converse(questions, ours)))

    def _count_processor_time(self, worker: BaseProcess) -> None:
        with suppress(psutil.NoSuchProcess):
            used = psutil.Process(worker.pid).cpu_times()
            self.processor += used.user + used.system


async def _converse(questions: Questions, connection: socket.socket) -> None:
    await questions.converse(*await asyncio.open_connection(sock=connection))


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
