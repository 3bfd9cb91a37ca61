"""A process whose clock is wrong: the whole of kern in it, and its queue, believe another time."""

import datetime
import importlib
import pkgutil
import sys
import time

import pgqueuer

import kern

_ROOMS = ("kern.aio", "kern.db", "kern.dispatch", "kern.execution", "kern.run", "kern.webhooks")


def advance(seconds: float) -> None:
    """Have this process's clock ahead by so many seconds; monotonic time goes on as it was."""
    for module in pkgutil.walk_packages(kern.__path__, "kern."):
        if module.name.startswith(_ROOMS):
            importlib.import_module(module.name)
    real, real_ns = time.time, time.time_ns

    class Ahead(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override] # not Self: the others are no Ahead
            return datetime.datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)
    for name, loaded in [*sys.modules.items()]:
        if name.split(".")[0] in (kern.__name__, pgqueuer.__name__):
            for key, value in [*vars(loaded).items()]:
                if value is datetime.datetime:
                    setattr(loaded, key, Ahead)
