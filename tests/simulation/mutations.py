"""Faults that kern could have: each puts one back, for the simulator to find."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.submission import Submission
from kern.db.sqlite.sweep import Sweep
from kern.db.values import Accepted, Claim, Settled
from kern.dispatch.waiting import Waiting
from kern.execution import calls, executor
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.settling import settle
from kern.run.base import RunStatus
from kern.run.fold import RunState
from kern.run.record import NewRun, RunRecord, Settlement
from kern.run.requirement import RunRequirement
from tests.simulation.weather import Weather

_RUNS = "kern_sessions_runs"


def _unfenced_settle() -> AbstractContextManager[object]:
    settle = Attempts.settle

    def mutated(self: Attempts, transaction: Transaction, settlement: Settlement) -> Settled | None:
        row = transaction.one(
            f"SELECT attempt FROM {_RUNS} WHERE run_id = :run_id", run_id=settlement.run_id
        )
        assert row is not None
        return settle(self, transaction, replace(settlement, attempt=row["attempt"]))

    return patch.object(Attempts, "settle", mutated)


def _lost_pending_cancel() -> AbstractContextManager[object]:
    submit = Submission.submit

    def mutated(self: Submission, transaction: Transaction, run: NewRun) -> Accepted | None:
        transaction.execute(
            f"DELETE FROM {_RUNS} WHERE run_id = :run_id AND session_id IS NULL", run_id=run.run_id
        )
        return submit(self, transaction, run)

    return patch.object(Submission, "submit", mutated)


def _waiter_without_a_bound() -> AbstractContextManager[object]:
    return patch.object(Waiting, "_look_again", 1e9)


def _child_that_escapes() -> AbstractContextManager[object]:
    return patch.object(Submission, "_is_orphan", lambda *_: False)


def _session_lock_handed_to_two() -> AbstractContextManager[object]:
    def mutated(self: SessionLock, transaction: Transaction, session_id: str, run_id: str) -> bool:
        transaction.execute(
            f"UPDATE {self._sessions} SET lock_run_id = :run_id WHERE session_id = :session_id",
            session_id=session_id,
            run_id=run_id,
        )
        return True

    return patch.object(SessionLock, "take", mutated)


def _limit_that_is_not_kept() -> AbstractContextManager[object]:
    return patch.object(Limits, "wait", lambda *_: False)


def _shutdown_that_cancels() -> AbstractContextManager[object]:
    async def release(attempt: Attempt) -> None:
        attempt.output.status = RunStatus.cancelled
        await settle(attempt)

    return patch.object(executor, "release", release)


def _step_that_is_written_late() -> AbstractContextManager[object]:
    async def commit(_: Journal) -> None:
        """Leave it to the run's end."""

    return patch.object(Journal, "commit", commit)


def _sweep_that_forgets_runs() -> AbstractContextManager[object]:
    return patch.object(Sweep, "_expire", lambda *_: [])


def _constant(value: Callable[[Any], object]) -> property:
    """Return an attribute that is always the same, whatever it is set to."""
    return property(value, lambda *_: None)


def _fold_that_forgets_what_is_void() -> AbstractContextManager[object]:
    return patch.object(RunState, "voids", _constant(lambda _: False))


def _pieces_that_nothing_covers() -> AbstractContextManager[object]:
    settle = Attempts.settle

    def mutated(self: Attempts, transaction: Transaction, settlement: Settlement) -> Settled | None:
        rows = tuple(row for row in settlement.journal if row.type != "CallBroken")
        return settle(self, transaction, replace(settlement, journal=rows))

    return patch.object(Attempts, "settle", mutated)


def _reader_of_what_is_not_committed() -> AbstractContextManager[object]:
    return patch.object(Journal, "readable", _constant(lambda self: len(self.entries)), create=True)


def _pause_that_begins_the_call() -> AbstractContextManager[object]:
    required = calls._required

    def mutated(*args: Any) -> RunRequirement:
        requirement = required(*args)
        requirement.tool_execution = replace(requirement.tool_execution, tool_call_id="another")
        return requirement

    return patch.object(calls, "_required", mutated)


def _claim_of_any_version() -> AbstractContextManager[object]:
    claim = Attempts.claim

    def mutated(
        self: Attempts, transaction: Transaction, run_id: str, given: Claim
    ) -> RunRecord | None:
        return claim(self, transaction, run_id, given._replace(journal_version=99))

    return patch.object(Attempts, "claim", mutated)


class Mutation(NamedTuple):
    """A fault to put back.

    Attributes:
        name: what it is.
        apply: puts it back while entered.
        weather: a weather in which it shows.
        breach: what the promises say of it, as a regular expression.
    """

    name: str
    apply: Callable[[], AbstractContextManager[object]]
    weather: Weather
    breach: str


_CALM = Weather()
_DEAF = Weather(lost_signal=1.0)
_FREEZING = Weather(freezes=20, cuts=10)
_DEADLY = Weather(deaths=10)

_OTHER_EVENT = r"event \d+ of .* (came after|was)"

MUTATIONS = [
    Mutation("an unfenced settle", _unfenced_settle, _FREEZING, "settle by attempt .* not refused"),
    Mutation("a lost pending cancel", _lost_pending_cancel, _CALM, "though its cancel was stored"),
    Mutation("a waiter without a bound", _waiter_without_a_bound, _DEAF, "still waits|remain"),
    Mutation(
        "a child that escapes", _child_that_escapes, _DEAF, r"\.\d+ (began|completed), though"
    ),
    Mutation("a session lock handed to two", _session_lock_handed_to_two, _CALM, "session's lock"),
    Mutation("a limit that is not kept", _limit_that_is_not_kept, _CALM, "above the limit"),
    Mutation(
        "a shutdown that cancels",
        _shutdown_that_cancels,
        Weather(shutdowns=20),
        "nobody has cancelled it",
    ),
    Mutation("a step that is written late", _step_that_is_written_late, _CALM, "is journaled"),
    Mutation("a sweep that forgets lost runs", _sweep_that_forgets_runs, _DEADLY, "remain: "),
    Mutation("a fold that forgets what is void", _fold_that_forgets_what_is_void, _CALM, "void"),
    Mutation(
        "pieces that nothing covers",
        _pieces_that_nothing_covers,
        _CALM,
        _OTHER_EVENT,
    ),
    Mutation(
        "a reader of what is not committed",
        _reader_of_what_is_not_committed,
        Weather(cuts=20, slowness=0.3),
        _OTHER_EVENT,
    ),
    Mutation(
        "a pause that begins the call", _pause_that_begins_the_call, _CALM, "nobody has allowed it"
    ),
    Mutation("a claim of any version", _claim_of_any_version, _CALM, "cannot be read"),
]
