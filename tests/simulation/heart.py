"""The hearts of simulated processes: what a thread does in a real one, a timer does here."""

import asyncio
from typing import TYPE_CHECKING, cast

from kern.db.database import Database
from kern.dispatch import heart
from kern.dispatch.heart import Pulse
from tests.simulation.loop import Loop

if TYPE_CHECKING:
    from tests.simulation.world import Process


class TimedHeart:
    """Beats for the loop of one process, whatever that loop does meanwhile."""

    def __init__(self, process: "Process", database: Database) -> None:
        """Prepare."""
        self._process = process
        self._heart = database.open_heart()
        self._pulses: list[Pulse] = []

    @classmethod
    def of(cls, database: Database) -> "TimedHeart":
        """Return a heart for the running process."""
        process = cast("Process", cast(Loop, asyncio.get_running_loop()).owner)
        return cls(process, database)

    def join(self, pulse: Pulse) -> None:
        """Beat from now on."""
        self._pulses.append(pulse)
        self._process.world.later(0.0, self._beat)

    def leave(self, pulse: Pulse) -> None:
        """Beat no more."""
        self._pulses.remove(pulse)

    def _beat(self) -> None:
        process = self._process
        if not process.is_alive:
            return
        for pulse in self._pulses:
            if not process.is_frozen:
                heart._beat(self._heart, pulse)
            process.world.later(pulse.heartbeat / 3, self._beat)
