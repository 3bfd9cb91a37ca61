"""What every event says of itself, whatever its kind."""

import pytest

from kern.run.event import (
    RunCancelledEvent,
    RunContentEvent,
    RunEvent,
    RunOutputEvent,
    RunPausedEvent,
)


@pytest.mark.parametrize(
    "event",
    [
        RunPausedEvent(RunEvent.run_paused, "run", "session", "agent"),
        RunCancelledEvent(RunEvent.run_cancelled, "run", "session", "agent"),
        RunContentEvent(RunEvent.run_content, "run", "session", "agent", content="Hi"),
    ],
    ids=lambda event: event.event,
)
def test_an_event_says_whether_its_run_is_paused_or_cancelled(event: RunOutputEvent) -> None:
    assert event.is_paused == isinstance(event, RunPausedEvent)
    assert event.is_cancelled == isinstance(event, RunCancelledEvent)
    assert event.active_requirements == []
