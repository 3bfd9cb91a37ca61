"""Whatever persons, processes and time do to runs that wait, each is what it must be.

Hypothesis chooses what happens; all of it happens in virtual time, so that what it finds happens
again, and is made shorter.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.people.machine import People


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.mark.timeout(600)
def test_runs_that_wait_are_what_they_must_be() -> None:
    run_state_machine_as_test(People, settings=_settings(8, 15))


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_runs_that_wait_are_what_they_must_be_for_long() -> None:
    run_state_machine_as_test(People, settings=_settings(300, 40))
