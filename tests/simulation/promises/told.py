"""What kern promises those who ask: what they are told is so, and every wait ends soon."""

from dataclasses import replace
from typing import TYPE_CHECKING

from kern.run.event import RunEvent, RunOutputEvent
from tests.simulation.promises.seen import Seen, Waiter

if TYPE_CHECKING:
    from tests.simulation.world import Process

ENDINGS = {
    "COMPLETED": RunEvent.run_completed,
    "ERROR": RunEvent.run_error,
    "CANCELLED": RunEvent.run_cancelled,
    "PAUSED": RunEvent.run_paused,
}
"""The last event of a stream whose run stands still in a status."""


class Told:
    """Watches what users are told."""

    def __init__(self, seen: Seen) -> None:
        """Look at what is seen."""
        self._seen = seen

    def event(self, run_id: str, event: RunOutputEvent, last: int) -> None:
        """Somebody was told of an event after the one with the number ``last``."""
        known, event = self._seen.known[run_id], replace(event, created_at=0.0)
        known.accepted = True
        if event.seq != last + 1:
            self._seen.breach(f"event {event.seq} of {run_id} came after {last}")
        elif (first := known.told.setdefault(event.seq, event)) != event:
            self._seen.breach(f"event {event.seq} of {run_id} was {first}, and then {event}")

    def end_of_stream(self, run_id: str, event: RunOutputEvent | None) -> None:
        """A stream has ended with an event."""
        statuses = {kind: status for status, kind in ENDINGS.items()}
        if event is None or event.event not in statuses:
            self._seen.breach(f"the stream of {run_id} ended with {event}")
        else:
            self.end(run_id, statuses[event.event], "the stream")

    def whole_stream(self, run_id: str) -> None:
        """See that a whole stream makes sense, which was read to the end of the run."""
        breach, told, text = self._seen.breach, self._seen.known[run_id].told, ""
        for seq, event in sorted(told.items()):
            if event.event is RunEvent.run_content:
                text += event.content or ""
            elif event.event is RunEvent.run_content_voided:
                text = ""
            elif event.event is RunEvent.model_request_completed:
                if text != event.content:
                    breach(f"the pieces of {run_id} up to event {seq} are not the answer")
                text = ""
            elif event.event is RunEvent.model_request_started and text:
                breach(f"the text of {run_id} before event {seq} was not voided")
        status = self._seen.rows[run_id].status
        if told[len(told)].event is not ENDINGS[status]:
            breach(f"the stream of {run_id}, which is {status}, ends with {told[len(told)]}")

    def accepted(self, run_id: str) -> None:
        """Somebody was told that a run was accepted."""
        self._seen.known[run_id].accepted = True
        if run_id not in self._seen.rows:
            self._seen.breach(f"{run_id} was accepted, and is not stored")

    def cancelled(self, run_id: str, will_end: bool, *, had_ended: bool) -> None:
        """Somebody was told whether a run ends for a cancel; it may have gone on meanwhile."""
        seen, row = self._seen, self._seen.rows.get(run_id)
        if row is None:
            seen.known[run_id].cancelled_at = seen.world.universe.now
            kept = seen.world.rows(
                "SELECT 1 FROM kern_sessions_runs WHERE run_id = :run_id AND session_id IS NULL",
                run_id=run_id,
            )
            if will_end or not kept:
                seen.breach(f"the cancel of {run_id}, which is not known yet, was not kept")
        elif row.status == "CANCELLED" or row.cancelling:
            if will_end:
                seen.known[run_id].cancelled_at = seen.world.universe.now
        elif will_end or not (row.has_ended or had_ended):
            seen.breach(f"{run_id} is {row.status}, though its cancel was answered by {will_end}")

    def end(self, run_id: str, status: str, how: str) -> None:
        """Somebody was told how a run ended."""
        row = self._seen.rows.get(run_id)
        if status == "PAUSED":
            return
        if row is None or (row.status != status and not self._seen.known[run_id].resumed):
            stored = None if row is None else row.status
            self._seen.breach(f"{how} said that {run_id} ended {status}, but it is {stored}")

    def left(self, run_id: str) -> None:
        """The caller of a run in the foreground has left."""
        world, row = self._seen.world, self._seen.rows.get(run_id)
        if world.storm.is_calm and row is not None and not row.has_ended:
            world.later(1.0, lambda: self._check_left(run_id))

    def _check_left(self, run_id: str) -> None:
        if (status := self._seen.rows[run_id].status) != "CANCELLED":
            self._seen.breach(f"{run_id} is {status}, though its caller has left")

    def check_waits(self) -> None:
        """See that every wait ends soon after what it is for."""
        for waiter in self._seen.waiters:
            self._check_wait(waiter)

    def _check_wait(self, waiter: Waiter) -> None:
        world, process = self._seen.world, waiter.process
        ended_at = self._seen.known[waiter.run_id].ended_at
        if ended_at is None or not process.is_usable or process.is_cut or world.is_away:
            return
        since = max(waiter.since, ended_at, process.troubled_until, world.troubled_until)
        if world.universe.now - since > world.patience:
            self._seen.breach(
                f"{waiter.kind} in {process.name} still waits for {waiter.run_id}, which "
                f"ended {world.universe.now - ended_at:.0f} s ago"
            )

    def forget(self, process: "Process") -> None:
        """Forget those who waited in a process that is gone."""
        waiters = self._seen.waiters
        waiters[:] = [each for each in waiters if each.process is not process]
