"""Faults that kern could have: each puts one back, for the simulator to find."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch

import msgspec

from kern.db.base import Store
from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.budgets import Spendings
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.limits import Limits
from kern.db.sqlite.sessions import SessionLock
from kern.db.sqlite.states import StateChanges
from kern.db.sqlite.submission import Submission
from kern.db.sqlite.sweep import Sweep
from kern.db.values import Accepted, Claim, Settled
from kern.dispatch import duties, telling
from kern.dispatch.telling import tell_parent
from kern.dispatch.waiting import Waiting
from kern.errors import BudgetExceededError
from kern.execution import calls, decisions, executor, finishing
from kern.execution.attempt import Attempt
from kern.execution.journal import Journal
from kern.execution.settling import settle
from kern.execution.steps import CallSteps
from kern.run.base import RunStatus
from kern.run.fold import RunState
from kern.run.record import JournalRow, NewRun, RunRecord, Settlement
from kern.run.state import StatePatch
from tests.simulation.plans import Habits
from tests.simulation.weather import Weather

_RUNS = "kern_sessions_runs"

_Patch: TypeAlias = AbstractContextManager[object]

_CALM = Weather()
_DEAF = Weather(lost_signal=1.0)
_FREEZING = Weather(freezes=20, cuts=10)
_DEADLY = Weather(deaths=10)
_DEPLOYS = Weather(shutdowns=20)
_FORGETFUL = Weather(lost_answer=0.2)

_HABITS = Habits()
_CANCELLING = Habits(agents=("plain",), acts=(10, 0, 10, 0, 0, 0), children=0.6)
_CURIOUS = Habits(agents=("curious",), children=0)
_NESTING = Habits(agents=("plain",), children=0.6)
_READING = Habits(acts=(10, 0, 0, 0, 20, 0), children=0)

_OTHER_EVENT = r"event \d+ of .* (came after|was)"


class Mutation(NamedTuple):
    """A fault to put back.

    Attributes:
        name: what it is.
        apply: puts it back while entered.
        weather: a weather in which it shows.
        breach: what the promises say of it, as a regular expression.
        habits: what users ask for that it may show.
        seed: of a world in which it shows soon; others are tried where it does not any more.
    """

    name: str
    apply: Callable[[], _Patch]
    weather: Weather
    breach: str
    habits: Habits
    seed: int


MUTATIONS: list[Mutation] = []


def _mutation(
    weather: Weather, breach: str, habits: Habits = _HABITS, seed: int = 0
) -> Callable[[Callable[[], _Patch]], None]:
    def add(apply: Callable[[], _Patch]) -> None:
        name = apply.__name__.replace("_", " ")
        MUTATIONS.append(Mutation(name, apply, weather, breach, habits, seed))

    return add


@_mutation(_FREEZING, "settle by attempt .* not refused", seed=13)
def unfenced_settle() -> _Patch:
    settle = Attempts.settle

    def mutated(self: Attempts, transaction: Transaction, settlement: Settlement) -> Settled | None:
        row = transaction.one(
            f"SELECT attempt FROM {_RUNS} WHERE run_id = :run_id", run_id=settlement.run_id
        )
        assert row is not None
        return settle(
            self, transaction, msgspec.structs.replace(settlement, attempt=row["attempt"])
        )

    return patch.object(Attempts, "settle", mutated)


@_mutation(_CALM, "though its cancel was stored", seed=4)
def lost_pending_cancel() -> _Patch:
    submit = Submission.submit

    def mutated(
        self: Submission, transaction: Transaction, run: NewRun
    ) -> Accepted | BudgetExceededError | None:
        transaction.execute(
            f"DELETE FROM {_RUNS} WHERE run_id = :run_id AND session_id IS NULL", run_id=run.run_id
        )
        return submit(self, transaction, run)

    return patch.object(Submission, "submit", mutated)


@_mutation(_FORGETFUL, "budgets count")
def answer_that_is_charged_with_every_write() -> _Patch:
    charge = Spendings.charge

    def mutated(self: Spendings, transaction: Transaction, rows: Sequence[JournalRow]) -> None:
        charge(self, transaction, [msgspec.structs.replace(row, seq=-row.seq) for row in rows])

    return patch.object(Spendings, "charge", mutated)


@_mutation(_DEAF, "still waits|remain")
def waiter_without_a_bound() -> _Patch:
    return patch.object(Waiting, "_look_again", 1e9)


@_mutation(_DEAF, "(began|completed), though r.* was cancelled| long after ", _CANCELLING, seed=3)
def child_that_escapes() -> _Patch:
    return patch.object(Submission, "_is_orphan", lambda *_: False)


@_mutation(_CALM, "session's lock")
def session_lock_handed_to_two() -> _Patch:
    def mutated(self: SessionLock, transaction: Transaction, session_id: str, run_id: str) -> bool:
        transaction.execute(
            f"UPDATE {self._sessions} SET lock_run_id = :run_id WHERE session_id = :session_id",
            session_id=session_id,
            run_id=run_id,
        )
        return True

    return patch.object(SessionLock, "take", mutated)


@_mutation(_DEAF, "above the limit", seed=1)
def limit_that_is_not_kept() -> _Patch:
    return patch.object(Limits, "wait", lambda *_: False)


@_mutation(_DEPLOYS, "nobody has cancelled it")
def shutdown_that_cancels() -> _Patch:
    async def release(attempt: Attempt) -> None:
        attempt.output.status = RunStatus.cancelled
        await settle(attempt)

    return patch.object(executor, "release", release)


@_mutation(_CALM, "is journaled")
def step_that_is_written_late() -> _Patch:
    async def commit(_: Journal) -> None:
        """Leave it to the run's end."""

    return patch.object(Journal, "commit", commit)


@_mutation(_CALM, "was done again")
def steps_that_are_not_replayed() -> _Patch:
    async def ended_step(*_: object) -> None:
        """Know of none."""

    return patch.object(CallSteps, "_ended_step", ended_step)


@_mutation(_CALM, "the state of .* is ", seed=7)
def states_by_the_last_writer() -> _Patch:
    change = StateChanges.change

    def mutated(
        self: StateChanges,
        transaction: Transaction,
        session_id: str,
        position: int,
        patch: StatePatch,
    ) -> list[str]:
        latest = 10**9  # As if every run were the one that was accepted last.
        return change(self, transaction, session_id, latest, patch)

    return patch.object(StateChanges, "change", mutated)


@_mutation(_CALM, "was counted as a failure")
def sleep_that_counts_as_a_failure() -> _Patch:
    postpone = Attempts.postpone

    def mutated(
        self: Attempts,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        delay: float,
        rows: Sequence[JournalRow],
        _: bool,
    ) -> RunStatus | None:
        return postpone(self, transaction, run_id, attempt, delay, rows, True)

    return patch.object(Attempts, "postpone", mutated)


@_mutation(_DEADLY, "remain: ", seed=4)
def sweep_that_forgets_lost_runs() -> _Patch:
    return patch.object(Sweep, "_expire", lambda *_: [])


def _constant(value: Callable[[Any], object]) -> property:
    """Return an attribute that is always the same, whatever it is set to."""
    return property(value, lambda *_: None)


@_mutation(_CALM, "void")
def fold_that_forgets_what_is_void() -> _Patch:
    return patch.object(RunState, "voids", _constant(lambda _: False))


@_mutation(_DEPLOYS, _OTHER_EVENT, _READING, seed=3)
def pieces_that_nothing_covers() -> _Patch:
    settle = Attempts.settle

    def mutated(self: Attempts, transaction: Transaction, settlement: Settlement) -> Settled | None:
        rows = tuple(row for row in settlement.journal if row.type != "CallBroken")
        return settle(self, transaction, msgspec.structs.replace(settlement, journal=rows))

    return patch.object(Attempts, "settle", mutated)


@_mutation(Weather(cuts=20, slowness=0.3), _OTHER_EVENT)
def reader_of_what_is_not_committed() -> _Patch:
    return patch.object(Journal, "readable", _constant(lambda self: len(self.entries)), create=True)


@_mutation(_CALM, "nobody has allowed it")
def pause_that_begins_the_call() -> _Patch:
    return patch.object(calls, "place_of", lambda _: -1)


@_mutation(_CALM, "which nobody has given")
def arguments_that_are_lost() -> _Patch:
    return patch.object(decisions, "arguments_of", lambda _: None)


@_mutation(Weather(jumps=20), "longer than given")
def time_by_the_clock_of_the_machine() -> _Patch:
    return patch.object(Attempt, "now", lambda _: time.time())


@_mutation(_DEADLY, "output_model of .* was asked again", _CURIOUS)
def secondary_model_that_is_always_due() -> _Patch:
    return patch.object(finishing, "_is_due", lambda *_: True)


@_mutation(_CALM, "cannot be read", seed=5)
def claim_of_any_version() -> _Patch:
    claim = Attempts.claim

    def mutated(
        self: Attempts, transaction: Transaction, run_id: str, given: Claim
    ) -> RunRecord | None:
        return claim(self, transaction, run_id, given._replace(journal_version=99))

    return patch.object(Attempts, "claim", mutated)


@_mutation(_CALM, "were told .*2.* times", _NESTING)
def parent_that_is_followed_whatever_it_knows() -> _Patch:
    return patch.object(telling, "fold", lambda _: RunState())


@_mutation(_CALM, "were told .*0] times", _NESTING, seed=3)
def end_that_is_told_to_nobody_at_work() -> _Patch:
    async def is_told(store: Store, run_id: str, _tries: int) -> float | None:
        child = await store.get(run_id)
        parent = None if child is None else await store.get(child.parent_run_id or "")
        if parent is None or not parent.status.is_terminal:
            return None  # It will look once more, won't it?
        return await tell_parent(store, run_id, 0)

    return patch.object(duties, "tell_parent", is_told)
