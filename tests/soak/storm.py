"""What the weather does to the workers and to the database."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal

import asyncpg

from kern.local.postgres import EmbeddedPostgres
from tests.soak.ledger import Ledger
from tests.soak.processes import HEARTBEAT, Fleet

_KILL_EVERY = 2.0
_STOP_EVERY = 9.0
_RESTART_EVERY = 19.0
_CUT_EVERY = 3.0


class Storm:
    """Kills, stops, cuts and restarts, each at its own pace."""

    def __init__(
        self, fleet: Fleet, postgres: EmbeddedPostgres, ledger: Ledger, chance: Random
    ) -> None:
        self._fleet = fleet
        self._postgres = postgres
        self._ledger = ledger
        self._chance = chance

    async def rage(self, seconds: float) -> None:
        """Go on for so long, then leave everything running."""
        async with asyncio.TaskGroup() as group:
            for every, act in (
                (_KILL_EVERY, self._kill),
                (_STOP_EVERY, self._stop),
                (_RESTART_EVERY, self._restart),
                (_CUT_EVERY, self._cut),
            ):
                group.create_task(self._repeat(every, seconds, act))

    async def _repeat(
        self, every: float, seconds: float, act: Callable[[], Awaitable[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() + (pause := every * self._chance.uniform(0.75, 1.25)) < end:
            await asyncio.sleep(pause)
            await act()

    async def _kill(self) -> None:
        self._fleet.kill()

    async def _stop(self) -> None:
        """Stop a worker, mostly for longer than others wait for a sign of life."""
        await self._fleet.pause(HEARTBEAT * self._chance.uniform(0.5, 2.5))

    async def _restart(self) -> None:
        """Restart the database, in good order or as after a crash."""
        modes: list[Literal["fast", "immediate"]] = ["fast", "immediate"]
        mode = self._chance.choice(modes)
        self._ledger.write("database-stops", note=mode)
        await asyncio.to_thread(self._postgres.stop, mode)
        await asyncio.sleep(self._chance.choice((0.0, 0.5, 1.5 * HEARTBEAT)))
        await asyncio.to_thread(self._postgres.start)
        self._ledger.write("database-starts")

    async def _cut(self) -> None:
        """Cut a few of the connections."""
        try:
            connection = await asyncpg.connect(self._postgres.url)
        except (OSError, asyncpg.PostgresError):
            return  # It is just being restarted.
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'kern' ORDER BY random() LIMIT $1",
                self._chance.randint(1, 3),
            )
            self._ledger.write("cut")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass
        except asyncpg.InternalClientError:
            pass  # It was broken between two messages of asyncpg's.
        finally:
            connection.terminate()
