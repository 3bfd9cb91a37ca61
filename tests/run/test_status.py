"""The names by which users know statuses and events."""

import json

import pytest

from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus


@pytest.mark.parametrize("status", RunStatus)
def test_a_status_prints_as_its_value(status: RunStatus) -> None:
    assert str(status) == f"{status}" == status.value == status.name.upper()
    assert json.dumps(status) == f'"{status.value}"'
    assert RunStatus(status.value) is status


def test_the_statuses_are_those_that_users_know() -> None:
    known = "pending running paused completed error cancelled regenerated"
    assert [status.name for status in RunStatus] == known.split()


@pytest.mark.parametrize("status", RunStatus)
def test_only_four_statuses_are_ends(status: RunStatus) -> None:
    ends = (RunStatus.completed, RunStatus.error, RunStatus.cancelled, RunStatus.regenerated)
    assert status.is_terminal == (status in ends)
    assert RunOutput("run", "session", "agent", status=status).is_terminal == (status in ends)


@pytest.mark.parametrize("event", RunEvent)
def test_an_event_prints_as_its_value(event: RunEvent) -> None:
    assert str(event) == f"{event}" == event.value
    assert event.value == "".join(word.capitalize() for word in event.name.split("_"))
