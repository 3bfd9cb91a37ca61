"""The database as a process sees it: at the other end of a line that cannot be relied on."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec.structs import replace
from typing_extensions import override

from kern.db.base import Store
from kern.db.heart import Heart
from kern.db.in_memory import InMemoryDb
from kern.db.sqlite.heart import SqliteHeart
from kern.db.sqlite.store import SqliteStore
from kern.db.values import Claim, Resume, Signal
from kern.errors import DatabaseUnavailableError
from kern.run.record import NewRun

if TYPE_CHECKING:
    from tests.simulation.world import Process

Result = TypeVar("Result")

# What of a store is itself something to call.
_PORTS = ("queue", "schedules", "retention", "outbox", "processes", "approvals", "erasing")


class SimulatedDb(InMemoryDb):
    """The one database of a world, as one of its processes names it."""

    def __init__(self, process: "Process") -> None:
        """Name it."""
        super().__init__()
        self._process = process

    def __repr__(self) -> str:
        return "SimulatedDb()"

    @override
    async def _open(self) -> AsyncGenerator[SqliteStore, None]:
        await travel(self._process)
        store = SqliteStore(self._process.world.file)
        await store.open()
        self._process.is_open = True
        try:
            yield cast(SqliteStore, Line(self._process, store))
        finally:
            await store.close()

    @override
    def open_heart(self) -> Heart:
        return LineOfTheHeart(self._process)


class Line:
    """Hands calls over to the store, or to one of its ports, and their answers back."""

    def __init__(self, process: "Process", inner: object) -> None:
        self._process = process
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def __getattr__(self, name: str) -> object:
        value = getattr(self._inner, name)
        if name in _PORTS:
            return Line(self._process, value)
        if name == "listen":
            return self._listen
        return self._calling(name, value) if inspect.iscoroutinefunction(value) else value

    def _calling(
        self, name: str, method: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        async def call(*args: object, **kwargs: object) -> object:
            process = self._process
            process.world.states.asked(process, name)
            await travel(process)
            if name in ("submit", "claim", "resume"):
                args = (*args[:-1], _of_version(args[-1], process.version))
            if name == "follow":
                args = (_of_version(args[0], process.version), *args[1:])
            result = await method(*args, **kwargs)
            done = "sleep" if kwargs.get("failed") is False else name
            process.world.states.stored(process, done, args, result)
            await travel(process)
            weather = process.world.weather
            if weather.lost_answer and process.world.chance(weather.lost_answer):
                process.write(f"the answer to {name} is lost")
                raise DatabaseUnavailableError("the connection was lost")
            return result

        return call

    async def _listen(self, receive: Callable[..., None]) -> None:
        """Listen to notifications: of runs, with a signal, or of what is due, without."""
        process = self._process
        await travel(process)

        def arrive(*signal: object) -> None:
            world = process.world
            if not process.is_cut and not world.is_away and not world.is_over:
                receive(*signal)

        def deliver(*signal: object) -> None:
            world, weather = process.world, process.world.weather
            times = 1 + world.chance(weather.double_signal)
            if world.chance(weather.lost_signal):
                process.write(f"a notification is lost: {_text(signal)}")
                times = 0
            for _ in range(times):
                late = world.random.expovariate(0.3) if world.chance(weather.late_signal) else 0.0
                process.loop.call_later(late + world.latency() / 2, arrive, *signal)

        await self._inner.listen(deliver)  # type: ignore[attr-defined] # a store, or a queue
        process.listeners.append((receive, isinstance(self._inner, Store)))


def _of_version(value: object, version: int) -> object:
    """Return a run, a claim, or how one is resumed, as the kern of a process makes it."""
    if isinstance(value, NewRun):
        return replace(value, journal_version=version)
    return cast(Claim | Resume, value)._replace(journal_version=version)


def _text(signal: tuple[object, ...]) -> str:
    if signal and isinstance(signal[0], Signal):
        return f"{signal[0].kind.value} {signal[0].run_id}"
    return "something is due"


class LineOfTheHeart(Heart):
    """The heart's connection; a thread has no await, so it takes no time."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._heart = SqliteHeart(process.world.file)

    @override
    def extend(self, attempts: Sequence[tuple[str, int]], lease: float) -> dict[str, bool]:
        process = self._process
        if process.is_cut or process.world.is_away or process.world.is_over:
            raise DatabaseUnavailableError("the store is away")
        mine = self._heart.extend(attempts, lease)
        process.world.states.stored(process, "extend", (attempts, lease), mine)
        return mine

    @override
    def close(self) -> None:
        pass


def at_once(work: Coroutine[object, None, Result]) -> Result:
    """Return what a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast(Result, end.value)
    raise RuntimeError(f"{work} waits.")


async def travel(process: "Process") -> None:
    """Take the way to the store, or back.

    Raises:
        DatabaseUnavailableError: it does not lead there now.
    """
    world = process.world
    if not world.is_over:
        await asyncio.sleep(world.latency())
    if world.is_over or world.is_away or process.is_cut:
        if not world.is_over:
            await asyncio.sleep(world.random.uniform(0, 1))
        raise DatabaseUnavailableError("the store is away")
