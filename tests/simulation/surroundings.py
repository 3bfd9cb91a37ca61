"""What a program takes from its surroundings, in virtual form: clocks, chance, ids, its own name.

Within :func:`virtual` nothing that kern reads comes from the real machine, so that a seed says
all. Every simulated process has its own wall clock and its own register of cancels, although all
of them live in one interpreter.
"""

import asyncio
import gc
import importlib
import logging
import os
import pkgutil
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import _patch, patch

import kern
from kern.aio.jitter import jitter
from kern.dispatch import heart
from kern.execution import cancellation
from tests.simulation.heart import TimedHeart

if TYPE_CHECKING:
    from tests.simulation.world import World

# Rooms that no simulated process enters, or that bring what is not installed everywhere.
_LEFT_OUT = ("kern.cli", "kern.local", "kern.testing", "kern.db.postgres", "kern.models.openai")


@contextmanager
def virtual(world: "World", seed: int) -> Iterator[None]:
    """Let the program see the world instead of the machine."""
    _import_all()
    chance = Random(f"surroundings {seed}")
    replaced: dict[object, object] = {
        heart.HeartThread: TimedHeart,
        datetime: _datetime_of(world),
        secrets.token_hex: lambda size=16: chance.randbytes(size).hex(),
        secrets.randbits: chance.getrandbits,
        cancellation.cancellations: _OfTheProcess(world),
    }
    clocks: dict[str, Callable[[], float]] = {
        "time": world.wall_clock,
        "time_ns": lambda: int(world.wall_clock() * 1e9),
        "monotonic": world.monotonic_clock,
        "perf_counter": world.monotonic_clock,
    }
    states = [(each, each.getstate()) for each in (random, jitter)]
    for generator, _ in states:
        generator.seed(seed)
    patches: list[Any] = [patch.object(time, name, clock) for name, clock in clocks.items()]
    patches += [
        patch.object(secrets, name, replaced[getattr(secrets, name)])
        for name in ("token_hex", "randbits")
    ]
    patches.append(patch.object(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128))))
    patches.append(patch.object(asyncio.Event, "__hash__", _numbering()))
    patches.append(patch.dict(os.environ, world.environment))
    patches += _bound(replaced)
    # Garbage is collected at moments that no seed knows.
    frozen = gc.get_freeze_count()
    gc.collect()  # What the world before has left would be frozen with the rest.
    gc.disable()
    gc.freeze()
    for each in patches:
        each.start()
    try:
        with _logging_to(world):
            yield
    finally:
        for each in reversed(patches):
            each.stop()
        for generator, state in states:
            generator.setstate(state)
        if not frozen:
            gc.unfreeze()
        gc.enable()


def _import_all() -> None:
    """Import what a process may import later; it would keep the virtual world for good."""
    for module in pkgutil.walk_packages(kern.__path__, "kern."):
        if not module.name.startswith(_LEFT_OUT):
            importlib.import_module(module.name)


def _bound(replaced: dict[object, object]) -> "list[_patch[Any]]":
    """Return the patches for names in kern's modules that are bound to what is replaced."""
    found = []
    by_identity = {id(old): new for old, new in replaced.items()}
    for module_name, module in sorted(sys.modules.items()):
        if module_name.split(".")[0] == "kern" and module is not None:
            for name, value in sorted(vars(module).items()):
                if id(value) in by_identity:
                    found.append(patch.object(module, name, by_identity[id(value)]))
    return found


def _numbering() -> Callable[[asyncio.Event], int]:
    """Return a hash by which the place of an event in a set is the same each time."""
    numbers = count()
    return lambda event: cast(int, event.__dict__.setdefault("number", next(numbers)))


class _OfTheProcess:
    """Stands for the register of cancels of whichever process runs."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def __getattr__(self, name: str) -> object:
        return getattr(self._world.cancellations(), name)


def _datetime_of(world: "World") -> type[datetime]:
    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class VirtualDatetime(datetime, metaclass=Meta):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # no subclass
            return datetime.fromtimestamp(world.wall_clock(), tz)

        @classmethod
        def fromtimestamp(  # type: ignore[override] # no subclass
            cls, timestamp: float, tz: tzinfo | None = None
        ) -> datetime:
            return datetime.fromtimestamp(timestamp, tz)

    return VirtualDatetime


class _Handler(logging.Handler):
    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        self._world.write(text)


@contextmanager
def _logging_to(world: "World") -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("kern", "asyncio")]
    handler = _Handler(world)
    before = [(each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.setLevel(logging.INFO)
        each.propagate = False
    try:
        yield
    finally:
        for each, (level, propagate) in zip(loggers, before, strict=True):
            each.removeHandler(handler)
            each.setLevel(level)
            each.propagate = propagate
