"""A tool of three steps and a sleep, in a process that kills itself at one point.

The environment says where: ``TEST_LEDGER`` is the file in which each step notes what it returned,
and ``TEST_KILL`` the point.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import uuid4

from kern.db.base import Store
from kern.db.postgres.store import PostgresStore
from kern.db.sqlite.store import SqliteStore
from kern.run.base import RunContext

_STORES: Sequence[type[Store]] = (PostgresStore, SqliteStore)


def die(point: str) -> None:
    """Kill this process, if this is the point."""
    if os.environ.get("TEST_KILL") == point:
        os.kill(os.getpid(), signal.SIGKILL)


def charge(name: str) -> str:
    """Note what this returns, which is another value at each call."""
    value = f"{name}{uuid4().hex[:8]}"
    with Path(os.environ["TEST_LEDGER"]).open("a") as ledger:
        ledger.write(f"{value}\n")
    die(f"in {name}")
    return value


async def work(run_context: RunContext) -> str:
    """Do three steps, of which two have one name, and sleep before the last."""
    die("before a")
    done = [await run_context.step("charge", charge, "a")]
    die("after a")
    done.append(await run_context.step("other", charge, "b"))
    die("after b")
    await run_context.sleep(0.02)
    die("after sleep")
    done.append(await run_context.step("charge", charge, "c"))
    die("at the end")
    return ",".join(done)


def kill_around_writes() -> None:
    """Kill this process before or after it adds rows to a journal for a certain time."""
    count = 0

    def killing(write: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def wrapper(*arguments: object) -> object:
            nonlocal count
            count += 1
            number = count
            die(f"before write {number}")
            result = await write(*arguments)
            die(f"after write {number}")
            return result

        return wrapper

    for store in _STORES:
        setattr(store, "append", killing(store.append))  # noqa: B010 # mypy allows no assignment


def kill_once_it_sleeps() -> None:
    """Kill this process once it has given back its run, which sleeps from then on."""

    def killing(write: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def wrapper(*arguments: object, **options: object) -> None:
            await write(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return wrapper

    for store in _STORES:
        setattr(store, "postpone", killing(store.postpone))  # noqa: B010 # as above
