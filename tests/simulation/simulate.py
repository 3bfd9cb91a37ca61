"""Simulates one world from its seed."""

from dataclasses import dataclass

from tests.simulation.plans import Habits
from tests.simulation.promises.seen import BreachError
from tests.simulation.story import tell
from tests.simulation.surroundings import virtual
from tests.simulation.weather import Weather
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a world.

    Attributes:
        seed: of the world.
        weather: what went wrong in it.
        breach: the promise that was broken, or None.
        runs: how many runs there were.
        steps: how many callbacks ran.
        seconds: how long it lived, in virtual time.
        trace: what happened, a line each.
    """

    seed: int
    weather: str
    breach: str | None
    runs: int
    steps: int
    seconds: float
    trace: list[str]

    def __str__(self) -> str:
        end = "kept all promises" if self.breach is None else f"BREACH: {self.breach}"
        return (
            f"seed {self.seed}: {end}\n  weather: {self.weather or 'calm'}\n"
            f"  {self.runs} runs, {self.steps} steps, {self.seconds:.0f} s of virtual time\n"
            f"  replay: python -m tests.simulation --seed {self.seed}"
        )


def simulate(seed: int, storm: Weather | None = None, habits: Habits | None = None) -> Outcome:
    """Let a world live, and hold the promises against what happens in it.

    Args:
        seed: where all chance comes from.
        storm: what goes wrong at first; by default that is chance, too.
        habits: what its users ask for, and how often.
    """
    world = World(seed, storm)
    breach = None
    with virtual(world, seed):
        try:
            world.run(tell(world, habits or Habits()))
        except BreachError as error:
            breach = str(error)
        finally:
            world.close()
    return Outcome(
        seed,
        str(world.storm),
        breach,
        len(world.seen.rows),
        world.universe.steps,
        world.universe.now,
        world.lines(),
    )
