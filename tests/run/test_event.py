"""What every event says of itself, whatever its kind."""

import pytest

from kern.run.event import RunEvent, class_of


@pytest.mark.parametrize("kind", RunEvent)
def test_an_event_says_whether_the_run_is_paused_or_cancelled(kind: RunEvent) -> None:
    event = class_of(kind)(kind, "run", "session", "agent")
    assert event.is_paused == (kind is RunEvent.run_paused)
    assert event.is_cancelled == (kind is RunEvent.run_cancelled)
    assert event.active_requirements == []
