"""Which runtime an event loop has for a database: made on first use, ended with the store."""

import asyncio
from concurrent.futures import Future
from weakref import WeakKeyDictionary, ref

from kern.db.base import Store
from kern.db.database import Database
from kern.dispatch.heart import HeartThread
from kern.dispatch.runtime import Runtime
from kern.dispatch.settings import Settings
from kern.errors import ConfigurationError
from kern.execution.cancellation import cancellations

_runtimes: dict[Store, asyncio.Task[Runtime]] = {}
_settings: WeakKeyDictionary[Database, Settings] = WeakKeyDictionary()


def configure(database: Database, settings: Settings) -> None:
    """Give a database that is not in use here yet its settings."""
    database.set_heartbeat(_settings.setdefault(database, settings).heartbeat)


async def open_runtime(database: Database, settings: Settings | None = None) -> Runtime:
    """Return the running loop's use of ``database``, begun on first call.

    Args:
        database: the database; objects that share a store share its runtime.
        settings: how the process takes part; by default as the environment says.

    Raises:
        ConfigurationError: the database is in use here with other settings.
        DatabaseError: it cannot be opened.
    """
    if settings is not None:
        configure(database, settings)
    store = await database.store()
    opening = _runtimes.get(store)
    if opening is None or (opening.done() and not _succeeded(opening)):
        for left in [each for each, of in _runtimes.items() if of.get_loop().is_closed()]:
            del _runtimes[left]
        opening = _runtimes[store] = asyncio.create_task(_open(store, database))
        opening.add_done_callback(_succeeded)
    if not opening.done():
        await asyncio.shield(opening)
    runtime = opening.result()
    if settings is not None and settings != runtime.settings:
        raise ConfigurationError(
            f"{database} is in use in this process with {runtime.settings}, not {settings}. "
            "Give it its settings before anything else uses it, and everywhere the same."
        )
    return runtime


def runtimes() -> list[Runtime]:
    """Return what all event loops of the process have opened; it is safe in any thread."""
    return [each.result() for each in [*_runtimes.values()] if each.done() and _succeeded(each)]


def runtimes_here() -> list[Runtime]:
    """Return what the running event loop has opened."""
    loop = asyncio.get_running_loop()
    found = [each for each in _runtimes.values() if each.get_loop() is loop and each.done()]
    return [each.result() for each in found if _succeeded(each)]


async def _open(store: Store, database: Database) -> Runtime:
    runtime = Runtime(store, _settings.get(database) or Settings.of(), ref(database))
    loop = asyncio.get_running_loop()

    def hand_over(run_id: str, user_id: str | None) -> Future[bool]:
        if loop.is_closed():  # It was left without being shut down.
            cancellations.unsubscribe(runtime)
            return _answer(False)
        cancelling = runtime.cancel(run_id, user_id=user_id)
        return asyncio.run_coroutine_threadsafe(cancelling, loop)

    for run_id, user_id in cancellations.subscribe(runtime, hand_over):
        await runtime.cancel(run_id, user_id=user_id)
    heart, pulse = HeartThread.of(database), runtime.pulse()
    heart.join(pulse)

    async def close() -> None:
        _runtimes.pop(store, None)
        await runtime.stop(0.0)
        heart.leave(pulse)
        cancellations.unsubscribe(runtime)

    store.before_close(close)
    return runtime


def _succeeded(opening: asyncio.Task[Runtime]) -> bool:
    return not opening.cancelled() and opening.exception() is None


def _answer(value: bool) -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(value)
    return future
