"""One process of ``kern worker``; as a module it is one that a supervisor has started."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from kern.agent import Agent
from kern.agent.serving import serve
from kern.cli.worker.channel import Channel
from kern.cli.worker.health import READY, loop_answers
from kern.cli.worker.log import Stream, claim_output, log_to, tell
from kern.cli.worker.options import GAVE_UP, Options
from kern.cli.worker.stop import HAND_OVER, Stop
from kern.cli.worker.target import load_agents
from kern.errors import DatabaseUnavailableError, KernError

_AWAY = "the database is away"


class WorkerProcess:
    """Loads the agents and executes their runs until it is asked to end."""

    def __init__(
        self,
        options: Options,
        stream: Stream,
        changed: Callable[[str], object] = lambda state: None,
        *,
        supervised: bool = False,
    ) -> None:
        """Listen to signals; nothing else begins.

        Args:
            options: what the user has chosen.
            stream: where the log goes.
            changed: told of each new state.
            supervised: whether there are others like this one.
        """
        self.stop = Stop(options.grace + HAND_OVER, starts=True)
        self._options = options
        self._stream = stream
        self._changed = changed
        self._supervised = supervised
        self._state = "starting"
        self._was_ready = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def state(self) -> str:
        """Return ``ready``, or why it is not."""
        return self._state

    def answers(self) -> bool:
        """Say whether the event loop answers, where there is one already; it may take 2 s."""
        return self._loop is None or loop_answers(self._loop, lambda: asyncio.sleep(0))

    def call_soon(self, work: Callable[[], object]) -> None:
        """Have the event loop do something, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(work)

    def run(self, health: str | None = None) -> None:
        """Work until the end.

        Args:
            health: the address of the health checks, if there is one.

        Raises:
            KernError: the agents cannot be served.
        """
        try:
            if self._options.otel:
                from kern.telemetry import switch_on

                switch_on()
            agents = load_agents(self._options.targets)
            log_to(
                self._stream,
                self._options.log,
                with_pid=self._supervised,
                with_traces=self._options.otel,
            )
            names = [agent.id for agent in agents]
            tell("starting", agents=names, pid=os.getpid(), health=health)
            asyncio.run(self._serve(agents))
            tell("stopped")
        finally:
            self.stop.started()

    async def _serve(self, agents: Sequence[Agent[Any, Any]]) -> None:
        self._loop = asyncio.get_running_loop()
        self.stop.tell(self._begin_to_stop)
        try:
            await serve(
                agents,
                grace=self._options.grace,
                stopping=self._stopping,
                ready=self._turn,
                database_wait=self._options.database_wait,
            )
            self.stop.done()
        finally:
            self._loop = None

    def _turn(self, ready: bool) -> None:
        """Take in whether the queue is consumed now."""
        state = READY if ready else _AWAY
        if state == self._state or self._stopping.is_set():
            return
        self._become(state)
        if not self._was_ready:
            # A start that waits for its database has said so.
            if ready:
                self._was_ready = True
                self.stop.started()
                tell("ready")
            return
        tell("database back" if ready else "database lost")

    def _begin_to_stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._become("stopping")
            tell("stopping", grace=self._options.grace)

    def _become(self, state: str) -> None:
        self._state = state
        self._changed(state)


def main() -> None:
    """Work under a supervisor: the arguments are the options and the channel's descriptor."""
    options = Options.from_json(sys.argv[1])
    channel = Channel(int(sys.argv[2]), claim_output(options.log))
    process = WorkerProcess(
        options, channel, lambda state: channel.send(state=state), supervised=True
    )
    channel.listen(lambda: process.call_soon(lambda: channel.send(alive=True)), process.stop.ask)
    try:
        process.run()
    except KernError as error:
        channel.send(failure=str(error))
        sys.exit(GAVE_UP if isinstance(error, DatabaseUnavailableError) else 1)
    except Exception as error:
        channel.send(failure=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
