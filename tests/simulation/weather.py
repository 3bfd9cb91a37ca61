"""What goes wrong in a world: how often, by seed, and when it does not any more."""

from dataclasses import dataclass, fields
from random import Random

HEARTBEAT = 6.0
"""The heartbeat of every process, in seconds."""


@dataclass(slots=True)
class Weather:
    """The faults of a world. Rates are events a minute for the whole world, chances a use.

    Attributes:
        deaths: processes that die between two steps.
        freezes: processes that stop for a time between two steps, as by SIGSTOP.
        blocks: loops that stop for a time, while the threads of their process go on.
        jumps: wall clocks that jump by up to ten minutes.
        shutdowns: processes that are asked to end, and started again.
        outages: times in which nobody reaches the store.
        cuts: times in which one process does not reach it.
        lost_answer: the chance that a write is committed, and its answer lost.
        lost_signal: the chance that a notification does not arrive.
        late_signal: the chance that it arrives late.
        double_signal: the chance that it arrives twice.
        slowness: the longest usual round trip to the store, in seconds.
    """

    deaths: float = 0.0
    freezes: float = 0.0
    blocks: float = 0.0
    jumps: float = 0.0
    shutdowns: float = 0.0
    outages: float = 0.0
    cuts: float = 0.0
    lost_answer: float = 0.0
    lost_signal: float = 0.0
    late_signal: float = 0.0
    double_signal: float = 0.0
    slowness: float = 0.005

    @classmethod
    def of(cls, random: Random) -> "Weather":
        """Return some of the faults: a world that has them all hides what each does alone."""
        worst = cls(6, 4, 3, 3, 4, 2, 3, 0.05, 0.5, 0.3, 0.3, 0.2)
        weather = cls()
        for each in fields(cls):
            if random.random() < 0.35:
                setattr(weather, each.name, getattr(worst, each.name) * random.uniform(0.2, 1))
        if weather.lost_signal and random.random() < 0.3:
            weather.lost_signal = 1.0
        return weather

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong that could cost an attempt at a run."""
        return not any(getattr(self, name) for name in _HARMFUL)

    def __str__(self) -> str:
        found = [(each.name, getattr(self, each.name)) for each in fields(self)]
        return ", ".join(f"{name} {value:.3g}" for name, value in found if value)


_HARMFUL = ("deaths", "freezes", "blocks", "jumps", "shutdowns", "outages", "cuts", "lost_answer")
