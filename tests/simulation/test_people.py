"""Whatever persons, processes and time do to runs that wait, each is what it must be.

Hypothesis chooses what happens; all of it happens in virtual time, so that what it finds happens
again, and is made shorter.
"""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.resuming import Resuming
from tests.simulation.people.machine import People, step_of


@pytest.fixture
def machine() -> Iterator[People]:
    """A world in which a test says what happens."""
    made = People()
    yield made
    made.teardown()


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
    run_state_machine_as_test(People, settings=_settings(4, 10))


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_runs_that_wait_are_what_they_must_be_for_long() -> None:
    run_state_machine_as_test(People, settings=_settings(300, 40))


def no_expiry(_resuming: Resuming, _transaction: Transaction, _limit: int) -> list[str]:
    """Have nothing expire."""
    return []


def nobody(_resuming: Resuming, _transaction: Transaction, _run_id: str | None) -> None:
    """Wake nobody."""


def test_an_expiry_that_is_forgotten_is_found(machine: People) -> None:
    machine.submit(planned=[[step_of("hurried")]], crash=None)
    with patch.object(Resuming, "expire", no_expiry), pytest.raises(AssertionError):
        machine.an_hour_passes()


def test_a_child_is_answered_itself_and_its_parents_go_on(machine: People) -> None:
    leaf = step_of("helped", [[step_of("asked")]])
    machine.submit(planned=[[step_of("helped", [[leaf]]), step_of("filled")]], crash=None)
    machine.decide(number=2, said=["confirm"], crash=None)
    machine.decide(number=0, said=["edit"], crash=None)
    assert machine.waiting == []


def test_a_child_that_wakes_no_parent_is_found(machine: People) -> None:
    machine.submit(planned=[[step_of("helped", [[step_of("asked")]])]], crash=None)
    with patch.object(Resuming, "wake", nobody), pytest.raises(AssertionError):
        machine.decide(number=1, said=["confirm"], crash=None)


def test_a_child_is_cancelled_itself_and_its_parents_go_on(machine: People) -> None:
    leaf = step_of("helped", [[step_of("asked")]])
    machine.submit(planned=[[step_of("helped", [[leaf]])]], crash=None)
    machine.cancel(number=2, crash=None)
    assert machine.waiting == []
