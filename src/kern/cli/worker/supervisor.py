"""Looks after several worker processes: starts them, restarts them, has them end."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress

from kern.cli.worker.health import READY, loop_answers
from kern.cli.worker.log import Stream, log_to, tell
from kern.cli.worker.options import GAVE_UP, Options
from kern.cli.worker.stop import HAND_OVER, Stop
from kern.errors import KernError

# Until a process that has ended is started again, in seconds; doubled each time.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# A process that has lived as long starts over with the first pause.
_LONG_LIFE = 10.0

_FAILED_STARTS = 3
_UNTOLD = "The worker processes fail to start; what they have printed above says why."

_LONGEST_MESSAGE = 64 * 1024 * 1024


class Supervisor:
    """Keeps a number of worker processes running."""

    def __init__(self, options: Options, processes: int, stream: Stream) -> None:
        """Listen to signals; nothing is started yet.

        Args:
            options: what the user has chosen.
            processes: how many.
            stream: where the log goes.
        """
        self._options = options
        self._stream = stream
        self._stopping = asyncio.Event()
        self._children = [Child(options, self._stopping, stream) for _ in range(processes)]
        self._loop: asyncio.AbstractEventLoop | None = None
        # The processes end in time by themselves, as long as they are allowed to run.
        self._stop = Stop(options.grace + HAND_OVER + 2, self._kill)

    def state(self) -> str:
        """Return ``ready`` where all processes are, or why one of them is not."""
        if self._stop.asked:
            return "stopping"
        return next((child.state for child in self._children if child.state != READY), READY)

    def answers(self) -> bool:
        """Say whether the event loops of all processes answer; it may take 2 s."""
        return self._loop is None or loop_answers(self._loop, self._ask)

    def run(self, health: str | None = None) -> None:
        """Work until the end.

        Args:
            health: the address of the health checks, if there is one.

        Raises:
            KernError: the processes cannot be started.
        """
        log_to(self._stream, self._options.log, with_pid=True)
        tell("starting", processes=len(self._children), pid=os.getpid(), health=health)
        asyncio.run(self._supervise())
        tell("stopped")

    async def _supervise(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop.tell(self._begin_to_stop)
        lives = [asyncio.create_task(child.keep()) for child in self._children]
        await asyncio.wait(lives, return_when=asyncio.FIRST_EXCEPTION)
        # Where one has given up, the others end with it.
        self._stop.ask()
        await asyncio.wait(lives)
        self._loop = None
        for life in lives:
            life.result()

    def _begin_to_stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            tell("stopping", grace=self._options.grace)
            for child in self._children:
                child.stop()

    async def _ask(self) -> None:
        await asyncio.gather(*(child.answers() for child in self._children))

    def _kill(self) -> None:
        for child in self._children:
            child.kill()


class Child:
    """One of the processes, and those that take its place when it ends."""

    def __init__(self, options: Options, stopping: asyncio.Event, stream: Stream) -> None:
        """Start nothing yet.

        Args:
            options: what the user has chosen.
            stopping: set when the process shall not be started again.
            stream: where the log goes.
        """
        self.state = "starting"
        self._options = options
        self._stopping = stopping
        self._stream = stream
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answer: asyncio.Future[None] | None = None
        self._was_ready = False
        self._failure: str | None = None

    async def keep(self) -> None:
        """Have the process run, and start it again whenever it ends, until told to stop.

        Raises:
            KernError: it fails again and again before it was ever ready, or has waited for its
                database in vain.
        """
        pause, failed = _FIRST_PAUSE, 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self.state, self._failure = "starting", None
            try:
                code = await self._live()
            except OSError as error:
                code, self._failure = 1, f"A process cannot be started: {error}"
            if self._stopping.is_set():
                return
            self.state = "restarting"
            failed = failed + 1 if code == 1 and not self._was_ready else 0
            if failed == _FAILED_STARTS or (code == GAVE_UP and not self._was_ready):
                raise KernError(self._failure or _UNTOLD)
            if time.monotonic() - began > _LONG_LIFE:
                pause = _FIRST_PAUSE
            pid = None if self._process is None else self._process.pid
            tell("restarting", worker=pid, code=code, seconds=pause, error=self._failure)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def stop(self) -> None:
        """Have the process end in good order, by the end of the channel as if we were gone."""
        if self._writer is not None:
            self._writer.write_eof()

    def kill(self) -> None:
        """End the process at once; from any thread."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def answers(self) -> None:
        """Return when the process's event loop has answered, if it has one."""
        if self._writer is None or self._stopping.is_set() or self.state == "starting":
            return
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self._writer.write(b"?")
        await asyncio.shield(self._answer)

    async def _live(self) -> int:
        """Start the process, read what it says until its end, and return its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            # In a session of its own, the Ctrl-C that is for us does not reach it.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "kern.cli.worker.process", self._options.to_json(), str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_MESSAGE)
        if self._stopping.is_set():
            self.stop()
        reading = asyncio.create_task(self._read(reader))
        code = await self._process.wait()
        # What it said last is still to be read; a process that it has forked may say no end.
        await asyncio.wait({reading}, timeout=1)
        reading.cancel()
        self._writer.close()
        self._writer = None
        self._answered()
        return code

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            async for line in reader:
                for kind, value in json.loads(line).items():
                    self._take(kind, value)

    def _take(self, kind: str, value: str) -> None:
        match kind:
            case "line":
                self._stream.write(value)
                self._stream.flush()
            case "state":
                self.state = value
                self._was_ready = self._was_ready or value == READY
            case "failure":
                self._failure = value
            case "alive":
                self._answered()

    def _answered(self) -> None:
        if self._answer is not None:
            self._answer.set_result(None)
            self._answer = None
