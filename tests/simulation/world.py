"""A world of processes around one store, in virtual time, where all chance comes from a seed."""

import asyncio
import gc
import sqlite3
import warnings
from collections.abc import Callable, Coroutine
from random import Random
from typing import cast

from kern.agent.serving import serve
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.values import Kind, Signal
from kern.errors import DatabaseUnavailableError
from kern.execution.cancellation import Cancellations
from kern.run.steps import VERSION
from tests.simulation.agents import agents
from tests.simulation.loop import Loop, Universe
from tests.simulation.promises.calls import Calls
from tests.simulation.promises.kept import Kept
from tests.simulation.promises.reports import Reports
from tests.simulation.promises.seen import BreachError, Seen
from tests.simulation.promises.states import States
from tests.simulation.promises.told import Told
from tests.simulation.store import SimulatedDb, at_once
from tests.simulation.weather import HEARTBEAT, Weather

_BIRTH = 1_750_000_000.0


class Process:
    """A simulated process: an event loop, a clock, and what an operating system does to it.

    Attributes:
        world: where it lives.
        name: what the trace calls it.
        loop: its event loop.
        is_alive: False once it has died or ended.
        is_frozen: whether all of it is stopped for now, its threads included.
        is_worker: whether it serves agents, or only uses them.
        version: of the journals that its kern writes, and the newest that it reads.
        is_cut: whether it does not reach the store.
        stopping: set to ask it to end.
        is_open: whether its program has reached the store once.
        listeners: what in it is notified, and whether with a signal.
        troubled_until: the time of its last trouble.
        cancellations: its register of cancels.
        agents: its own objects of all agents, by id.
    """

    def __init__(self, world: "World", name: str, is_worker: bool, skew: float) -> None:
        """Make it, without anything that runs; ``skew`` is the error of its wall clock."""
        self.world = world
        self.name = name
        self.is_worker = is_worker
        self.version = VERSION + world.chance(world.upgraded)
        self.loop = world.universe.loop(name, offset=world.random.uniform(0, 1e5))
        self.loop.owner = self
        self.loop.set_exception_handler(self._unhandled)
        self.is_alive = True
        self.is_frozen = False
        self.is_cut = False
        self.stopping = asyncio.Event()
        self.listeners: list[tuple[Callable[..., None], bool]] = []
        self.is_open = False
        self.troubled_until = 0.0
        self.cancellations = Cancellations()
        self._skew = skew
        self._fuse: tuple[int, Callable[[], None]] | None = None
        self.agents = agents(SimulatedDb(self), world.expires_in)

    def __repr__(self) -> str:
        return self.name

    @property
    def is_usable(self) -> bool:
        """Whether it runs, and was not asked to end."""
        return self.is_alive and not self.loop.frozen and not self.stopping.is_set()

    @property
    def clock(self) -> float:
        """Its wall clock, in seconds since 1970."""
        return _BIRTH + self.world.universe.now + self._skew

    def write(self, text: str) -> None:
        """Add a line to the trace."""
        self.world.write(text, self.name)

    async def live(self) -> None:
        """Serve, or wait for users, until asked to end; then end as ``asyncio.run`` does."""
        await (self._serve() if self.is_worker else self.stopping.wait())
        others = asyncio.all_tasks() - {cast("asyncio.Task[object]", asyncio.current_task())}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self.write("has ended")
        self.world.bury(self)

    async def _serve(self) -> None:
        """Serve all agents; where that cannot begin, try again, as a supervisor does."""
        while not self.stopping.is_set():
            try:
                agents = [*self.agents.values()]
                return await serve(agents, grace=3.0, stopping=self.stopping)
            except DatabaseUnavailableError as error:
                self.write(f"cannot serve: {error}")
                await asyncio.sleep(1.0)

    def burn(self, steps: int, then: Callable[[], None]) -> None:
        """Have something happen after so many of its steps."""
        self._fuse = steps, then

    def stepped(self) -> None:
        """Count a step."""
        if self._fuse is not None:
            steps, then = self._fuse
            self._fuse = (steps - 1, then) if steps > 1 else None
            if self._fuse is None:
                then()

    def die(self) -> None:
        """Stop between two steps, for good."""
        if self.is_alive:
            self.write("dies")
            self.world.bury(self)

    def freeze(self, seconds: float, threads: bool) -> None:
        """Stop between two steps, for a time; its threads too, or only its loop."""
        if self.is_alive and not self.loop.frozen:
            self.write(f"{'freezes' if threads else 'blocks its loop'} for {seconds:.1f} s")
            self.loop.frozen, self.is_frozen = True, threads
            self.world.later(seconds, self.thaw)

    def thaw(self) -> None:
        """Go on."""
        if self.loop.frozen:
            self.loop.frozen = self.is_frozen = False
            self.troubled_until = self.world.universe.now
            if self.is_alive:
                self.write("goes on")

    def notify(self, signal: Signal) -> None:
        """Say that the store was lost or is back, as far as anything listens to it."""
        for receive, takes_signals in self.listeners:
            if takes_signals:
                self.loop.call_soon(receive, signal)
            elif signal.kind is Kind.resync:
                self.loop.call_soon(receive)

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.write(f"its clock jumps by {seconds:+.0f} s")
        self._skew += seconds

    def _unhandled(self, _loop: object, context: dict[str, object]) -> None:
        if not self.world.is_over:
            self.world.seen.breach(
                f"{self.name}: {context.get('message')}: {context.get('exception')!r}"
            )


class World:
    """Processes, a store, a weather, and the promises that are held against what happens.

    Attributes:
        seed: where all chance comes from.
        random: that chance.
        universe: the time.
        storm: what goes wrong at first.
        weather: what goes wrong now.
        upgraded: the chance that a process has a newer kern.
        patience: how long after its reason a wait may go on, in seconds.
        expires_in: for how long a person can answer what expires, in seconds.
        is_away: whether nobody reaches the store.
        is_ending: whether all processes have been asked to end.
        is_over: whether all is over; what still runs is only to be cleared away.
        processes: those that live.
        file: the store.
        seen: what has been seen of its runs.
        calls: the promises of models and tools.
        states: the promises of what is stored.
        told: the promises of what users are told.
        trace: what has happened: time, process, text.
        troubled_until: the time of the last trouble that concerned all.
    """

    def __init__(self, seed: int, storm: Weather | None = None) -> None:
        """Make an empty world, with a weather of chance by default."""
        self.seed = seed
        self.random = Random(seed)
        self.universe = Universe(self.random)
        self.storm = storm or Weather.of(self.random)
        self.weather = self.storm
        self.upgraded = self.random.choice([0.0, 0.0, 0.5])
        self.patience = 3 * HEARTBEAT
        self.expires_in = 20.0
        self.is_away = False
        self.is_ending = False
        self.is_over = False
        self.processes: list[Process] = []
        self.trace: list[tuple[float, str, str]] = []
        self.troubled_until = 0.0
        self._dead: list[Process] = []
        self._names = 0
        # A child whose parent polls waits very long where others put it back again and again.
        self._slots = None if self.upgraded else self.random.choice([None, None, 1, 2, 5])
        self._loop = self.universe.loop("world")
        self.file = SqliteFile(":memory:", "kern_sessions", threaded=False)
        self.file.clock = self.wall
        self.seen = Seen(self)
        self.calls = Calls(self.seen)
        self.states = States(self.seen, self.calls)
        self.told = Told(self.seen)
        self.kept = Kept(self.seen)
        self.reports = Reports(self.seen)
        self._looked_at = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of all processes."""
        found = {"KERN_HEARTBEAT": f"{HEARTBEAT}", "KERN_MAX_LOOP_BLOCK": "20"}
        return found if self._slots is None else {**found, "KERN_CONCURRENCY": f"{self._slots}"}

    def wall(self) -> float:
        """Return the store's time, in seconds since 1970."""
        return _BIRTH + self.universe.now

    def wall_clock(self) -> float:
        """Return the running process's time, in seconds since 1970."""
        process = self.running()
        return self.wall() if process is None else process.clock

    def monotonic_clock(self) -> float:
        """Return the running process's time since some moment, in seconds."""
        process = self.running()
        return self.universe.now if process is None else process.loop.time()

    def cancellations(self) -> Cancellations:
        """Return what the running process knows of cancels."""
        process = self.running()
        assert process is not None, "only processes know of cancels"
        return process.cancellations

    def running(self) -> Process | None:
        """Return the running process, if what runs is not the world itself."""
        loop = asyncio._get_running_loop()
        return loop.owner if isinstance(loop, Loop) and isinstance(loop.owner, Process) else None

    def write(self, text: str, name: str | None = None) -> None:
        """Add a line to the trace."""
        if not self.is_over:
            process = self.running()
            who = name or ("" if process is None else process.name)
            self.trace.append((self.universe.now, who, text))

    def lines(self) -> list[str]:
        """Return the trace, to be read."""
        return [f"{moment:10.4f}  {name:<6} {text}" for moment, name, text in self.trace]

    def chance(self, probability: float) -> bool:
        """Throw dice, if there is anything to decide."""
        return probability > 0 and self.random.random() < probability

    def latency(self) -> float:
        """Return how long the way to the store takes this time, in seconds."""
        return self.random.uniform(0.0002, self.weather.slowness) * self.random.random()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something happen to the world."""
        self._loop.call_later(seconds, call)

    @property
    def usable(self) -> list[Process]:
        """The processes that run, and were not asked to end."""
        return [process for process in self.processes if process.is_usable]

    def start(self, is_worker: bool) -> None:
        """Start a process."""
        self._names += 1
        name = f"{'worker' if is_worker else 'web'}{self._names}"
        process = Process(self, name, is_worker, self.random.uniform(-2, 2))
        self.processes.append(process)
        process.write("begins")
        process.loop.create_task(process.live())

    def bury(self, process: Process) -> None:
        """Never run anything of a process again."""
        process.is_alive = False
        self.processes.remove(process)
        self.told.forget(process)
        self._dead.append(process)
        self.universe.forget(process.loop)

    def run(self, story: Coroutine[object, object, None]) -> None:
        """Let things happen until the story is over, and hold the promises against each.

        Raises:
            BreachError: a promise was broken.
        """
        telling = self._loop.create_task(story)
        while not telling.done():
            loop = self.universe.step()
            if loop is None:
                raise RuntimeError("the story waits for what will never come")
            if isinstance(loop.owner, Process):
                loop.owner.stepped()
            self._check()
        telling.result()

    def _check(self) -> None:
        if self.universe.now - self._looked_at > 1:
            self._looked_at = self.universe.now
            self.told.check_waits()
        if self.seen.broken is not None:
            raise BreachError(self.seen.broken)

    def close(self) -> None:
        """Clear away what still runs, as an interpreter does at its end."""
        self.is_over = True
        for process in (*self._dead, *self.processes):
            process.loop.frozen = False
        loops = [self._loop, *(process.loop for process in (*self._dead, *self.processes))]
        with warnings.catch_warnings():
            # What has died between two steps has left coroutines that nobody awaits.
            warnings.simplefilter("ignore", RuntimeWarning)
            for loop in loops:
                _clear(loop)
                loop.close()
            self.processes, self._dead = [], []
            gc.collect()

    def changes(self) -> int:
        """Return a number that grows with every row that changes in the store."""
        return cast(int, self.rows("SELECT total_changes() AS number")[0]["number"])

    def rows(self, statement: str, **values: object) -> list[sqlite3.Row]:
        """Return rows of the store."""

        def fetch(transaction: Transaction) -> list[sqlite3.Row]:
            return transaction.execute(statement, **values).fetchall()

        return at_once(self.file.read(fetch))


def _clear(loop: Loop) -> None:
    """Cancel what runs on a loop; what waits for time to pass is cancelled again."""
    rounds = 20
    while rounds and (tasks := sorted(asyncio.all_tasks(loop), key=hash)):
        for task in tasks:
            task.cancel()
        loop.run_ready()
        rounds -= 1
    loop.create_task(loop.shutdown_asyncgens())
    loop.run_ready()
