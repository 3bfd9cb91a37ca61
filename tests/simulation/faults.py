"""What breaks things in a world, as its weather says, and mends them in the end."""

import asyncio
from collections.abc import Callable, Coroutine

from kern.db.values import Kind, Signal
from kern.run.steps import VERSION
from tests.simulation.weather import Weather
from tests.simulation.world import Process, World


class Faults:
    """The faults of one world."""

    def __init__(self, world: World) -> None:
        """Begin; each kind comes at moments of its own."""
        self._world = world
        self._random = world.random
        self._coming = [asyncio.create_task(each) for each in self._kinds()]

    def _kinds(self) -> list[Coroutine[object, object, None]]:
        weather = self._world.storm
        kinds: list[tuple[float, Callable[[Process], None]]] = [
            (weather.deaths, lambda process: self._soon(process, lambda: self._kill(process))),
            (weather.freezes, lambda process: self._stop(process, 20, threads=True)),
            (weather.blocks, lambda process: self._stop(process, 35, threads=False)),
            (weather.jumps, lambda process: process.jump(self._random.uniform(-600, 600))),
            (weather.shutdowns, self._shut_down),
            (weather.outages, lambda _: self._take_store_away()),
            (weather.cuts, self._cut),
        ]
        return [self._repeat(rate, fault) for rate, fault in kinds if rate]

    async def _repeat(self, rate: float, fault: Callable[[Process], None]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(rate / 60))
            if usable := self._world.usable:
                fault(self._random.choice(usable))

    async def end(self) -> None:
        """Let nothing break any more, and mend all that can be mended."""
        for each in self._coming:
            each.cancel()
        await asyncio.gather(*self._coming, return_exceptions=True)
        world = self._world
        world.weather = Weather()
        self._bring_store_back()
        for process in list(world.processes):
            process.burn(0, lambda: None)
            process.thaw()
            self._reconnect(process)
        world.upgraded = float(world.upgraded > 0)
        if not any(
            each.is_worker and each.version >= VERSION + world.upgraded for each in world.usable
        ):
            world.start(is_worker=True)

    def _soon(self, process: Process, fault: Callable[[], None]) -> None:
        """Have something happen between two steps."""
        process.burn(self._random.randint(1, 150), fault)

    def _kill(self, process: Process) -> None:
        process.die()
        self._replace(process)

    def _shut_down(self, process: Process) -> None:
        process.write("is asked to end")
        process.stopping.set()
        self._replace(process)

    def _replace(self, process: Process) -> None:
        def begin() -> None:
            if not self._world.is_ending:
                self._world.start(process.is_worker)

        self._world.later(self._random.uniform(0.1, 10), begin)

    def _stop(self, process: Process, longest: float, threads: bool) -> None:
        seconds = self._random.uniform(0.1, longest)
        self._soon(process, lambda: process.freeze(seconds, threads))

    def _take_store_away(self) -> None:
        world = self._world
        if not world.is_away:
            seconds = self._random.uniform(0.5, 40)
            world.write(f"the store is away for {seconds:.1f} s", "")
            world.is_away = True
            self._notify(world.processes, Kind.away)
            world.later(seconds, self._bring_store_back)

    def _bring_store_back(self) -> None:
        world = self._world
        if world.is_away:
            world.write("the store is back", "")
            world.is_away = False
            world.troubled_until = world.universe.now
            self._notify(world.processes, Kind.resync)

    def _cut(self, process: Process) -> None:
        seconds = self._random.uniform(0.5, 30)
        process.write(f"is cut off the store for {seconds:.1f} s")
        process.is_cut = True
        self._notify([process], Kind.away)
        self._world.later(seconds, lambda: self._reconnect(process))

    def _reconnect(self, process: Process) -> None:
        if process.is_cut:
            process.write("reaches the store again")
            process.is_cut = False
            process.troubled_until = self._world.universe.now
            self._notify([process], Kind.resync)

    def _notify(self, processes: list[Process], kind: Kind) -> None:
        for process in processes:
            process.notify(Signal(kind))
