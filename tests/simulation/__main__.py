"""Simulate: ``python -m tests.simulation --seconds 120``, or one world: ``--seed 7``."""

import argparse
import sys
import time

from tests.simulation.simulate import Outcome, simulate


def main() -> int:
    """Simulate one world and show what happened in it, or as many as fit into a time."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="simulate this world, and print its trace")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long")
    parser.add_argument("--keep-going", action="store_true", help="go on after a breach")
    given = parser.parse_args()
    if given.seed is not None:
        outcome = simulate(given.seed)
        print("\n".join(outcome.trace))
        print(outcome)
        return 0 if outcome.breach is None else 1
    failed, outcomes = 0, []
    until = time.monotonic() + given.seconds
    seed = given.first
    while time.monotonic() < until and (given.keep_going or not failed):
        outcome = simulate(seed)
        outcomes.append(outcome)
        if outcome.breach is not None:
            failed += 1
            print(outcome)
        seed += 1
    print(summary(outcomes))
    return 1 if failed else 0


def summary(outcomes: list[Outcome]) -> str:
    """Return how much was simulated."""
    runs, steps = sum(each.runs for each in outcomes), sum(each.steps for each in outcomes)
    hours = sum(each.seconds for each in outcomes) / 3600
    failed = sum(each.breach is not None for each in outcomes)
    return (
        f"{len(outcomes)} worlds, {failed} of them with a breach; {runs:,} runs, "
        f"{steps:,} steps, {hours:.1f} hours of virtual time"
    )


if __name__ == "__main__":
    sys.exit(main())
