"""What a contender is: one library's way to run an agent, behind the verbs that are measured.

This runs inside every contender's environment, and so needs the standard library only.
"""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

ROOT = Path(__file__).parents[2]

INSTRUCTIONS = "You answer briefly and correctly."
"""What every contender's agent is told."""

IDLE = 0.02
"""How long a system is left alone before it counts as idle, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a contender runs, and what is measured.

    Attributes:
        database: the URL of an empty database, as ``postgresql://...``.
        directory: an empty directory, for databases that are files.
        model: the base URL of the stand-in model.
        channel: the TCP port on which the stand-in tells what it saw.
        postgres: the process id of PostgreSQL.
        figures: what is measured.
        scale: how much of it, by name.
        role: ``"all"`` submits and executes, ``"submit"`` and ``"work"`` do one of them.
        worker: the name of a process that executes.
        table: what its tables are named after, where it lets one choose.
        connections: how many calls the HTTP client must be able to hold at once.
    """

    database: str
    directory: str
    model: str
    channel: int
    postgres: int
    figures: tuple[str, ...]
    scale: Mapping[str, float]
    role: Literal["all", "submit", "work"] = "all"
    worker: str = "all"
    table: str = "bench"
    connections: int = 1000

    def to_json(self) -> str:
        """Return it as text, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Command:
    """How to start a worker process; it prints a line with the word "ready".

    Attributes:
        arguments: the program and its arguments.
        environment: the variables to add.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


class Contender(ABC):
    """One library, set up as its documentation says.

    Attributes:
        background: whether it has background runs; else it makes calls, 32 at a time.
        in_flight: how many runs at most are under way at once where throughput counts.
        calls_too: whether its background runs are also measured as many at a time as calls.
        largest_session: how many runs a session can be given by :meth:`fill`.
        takes_over: what goes on with the runs of a killed worker: another worker, or its own
            restart.
    """

    background: ClassVar[bool] = True
    in_flight: ClassVar[int] = 256
    calls_too: ClassVar[bool] = False
    largest_session: ClassVar[int] = 1
    takes_over: ClassVar[Literal["another", "restart"]] = "another"

    @abstractmethod
    async def open(self, setting: Setting) -> None:
        """Get ready to run the agent."""

    @abstractmethod
    async def run(self, text: str, session: str) -> None:
        """Run the agent to its end."""

    async def close(self) -> None:  # noqa: B027 # not every library has something to close
        """Close what was opened."""

    def worker(self, setting: Setting) -> Command:
        """Return the command of a worker process with this setting."""
        module = f"bench.contenders.{Path(sys.modules[type(self).__module__].__file__ or '').stem}"
        return Command((sys.executable, "-m", module, setting.to_json()), {})


class BackgroundContender(Contender):
    """One that has background runs."""

    @abstractmethod
    async def submit(self, text: str, session: str) -> str:
        """Start a background run, and return its id as soon as the library does."""

    @abstractmethod
    async def ended(self, run_id: str, session: str) -> str:
        """Wait for the end of a run, and return its status in lower case."""

    async def poll(self, run_id: str, session: str) -> None:
        """Ask for a run's status and what there is of its output."""
        raise NotImplementedError

    async def cancel(self, run_id: str) -> None:
        """Ask for a run's end."""
        raise NotImplementedError

    async def fill(self, run_id: str, session: str | None, count: int) -> None:
        """Store ``count`` runs like this one, in its session or in sessions of ten.

        Args:
            run_id: a run that has ended.
            session: its session; None where the copies shall be in sessions of their own.
            count: how many copies to make.
        """
        raise NotImplementedError

    async def delays(self, text: str, session: str) -> list[float]:
        """Read a run's events in this process while another one executes it.

        Args:
            text: an input that makes the model call the tool ``moment``, which returns the time.
            session: the run's session.

        Returns:
            How much later each of those moments was read, in seconds.
        """
        raise NotImplementedError

    async def submit_streamed(self, text: str, session: str) -> str:
        """Start a background run whose text is to be read as it comes, and return its id."""
        raise NotImplementedError

    async def texts(self, run_id: str) -> list[tuple[float, str]]:
        """Read a run to its end while it executes in this process.

        Returns:
            The pieces of its text, each with the moment at which it was read, by
            ``time.monotonic()``.
        """
        raise NotImplementedError

    def statements(self) -> int:
        """Return how many statements were sent to the database so far."""
        raise NotImplementedError

    async def steps(self, count: int) -> list[float]:
        """Make one run in which the model calls the tool ``moment`` in ``count`` turns.

        Returns:
            The processor time of this process at each of the calls, in seconds.
        """
        raise NotImplementedError

    async def run(self, text: str, session: str) -> None:
        """Submit a run, and wait for its end."""
        status = await self.ended(await self.submit(text, session), session)
        if status != "completed":
            raise RuntimeError(f"a run ended {status}")
