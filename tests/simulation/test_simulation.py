"""kern keeps its promises in simulated worlds, and the simulator finds what would break them.

For ``KERN_SIMULATION_SECONDS`` (20 by default) it lets worlds live, the same ones each time, and at
night new ones. A failure names its seed, and ``python -m tests.simulation --seed N`` shows what
happened in it.
"""

import os
import re
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from random import SystemRandom

import pytest

from tests.simulation.__main__ import summary
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.simulate import Outcome, simulate

SECONDS = float(os.environ.get("KERN_SIMULATION_SECONDS", "20"))

# So many worlds at most until a mutation is found.
_BOUND = 200


@pytest.mark.timeout(SECONDS + 240)
def test_promises_hold_in_simulated_worlds() -> None:
    assert_promises_hold(0, SECONDS)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_promises_hold_in_new_worlds() -> None:
    assert_promises_hold(SystemRandom().randrange(10**9), 900)


def assert_promises_hold(first: int, seconds: float) -> None:
    """Let worlds live for so long, beginning with the one of a seed."""
    until, outcomes = time.monotonic() + seconds, list[Outcome]()
    for seed in count(first):
        outcomes.append(simulate(seed))
        if outcomes[-1].breach is not None or time.monotonic() > until:
            break
    print(summary(outcomes))
    assert outcomes[-1].breach is None, outcomes[-1]


def test_a_seed_says_all() -> None:
    # In processes of their own: other threads of this one may draw from its random numbers.
    first, again = (
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for hash_seed in ("11", "12")
    )
    assert len(first.splitlines()) > 20
    assert first == again


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_simulator_finds(mutation: Mutation) -> None:
    with mutation.apply():
        for seed in (mutation.seed, *range(_BOUND)):
            breach = simulate(seed, mutation.weather, mutation.habits).breach
            if breach is not None and re.search(mutation.breach, breach):
                return
    pytest.fail(f"{mutation.name} was not found in {_BOUND} worlds")
