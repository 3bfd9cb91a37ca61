"""Every order of what can happen to runs, against a model of what is promised.

Attempts that were overtaken go on speaking, leases run out at any moment, and two processes use
the database in turn.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from stores import LAPSED, LEASE, ending, new_run, same

from kern.db.base import Database, Store
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.run.base import RunStatus
from kern.run.record import RunRecord, Settlement

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled


@dataclass
class Model:
    """What is promised of a run; without a status it is not known yet."""

    status: RunStatus | None = None
    intent: bool = False
    input: str | None = None
    attempt: int = 0
    asked: bool = False
    alive: bool = False
    output: str | None = None
    end: RunRecord | None = None

    @property
    def stops(self) -> bool:
        """Whether its executor is asked to stop it."""
        return self.status is RUNNING and self.asked

    @property
    def waits(self) -> bool:
        """Whether an executor may take it."""
        return self.status is PENDING or (self.status is RUNNING and not self.alive)

    @property
    def live(self) -> bool:
        """Whether it is known and has not ended."""
        return self.status is not None and not self.status.is_terminal

    def heard(self, attempt: int) -> bool:
        """Whether an attempt may write."""
        return self.status is RUNNING and self.attempt == attempt

    def submit(self, input: str, cancelled: bool, lease: float | None) -> RunStatus | None:
        """Accept it, unless its id is in use."""
        if self.status is not None:
            return None
        self.input = input
        if cancelled or self.intent:
            self.status = CANCELLED
        elif lease is None:
            self.status = PENDING
        else:
            self.status, self.attempt, self.alive = RUNNING, 1, lease > 0
        return self.status

    def claim(self, lease: float) -> tuple[RunStatus, int] | None:
        """Begin the next attempt."""
        if not self.waits:
            return None
        self.status = CANCELLED if self.asked else RUNNING
        self.attempt += 1
        self.alive = lease > 0
        return self.status, self.attempt

    def extend(self, attempt: int, lease: float) -> bool:
        """Protect an attempt, or have its protection run out."""
        if not self.heard(attempt):
            return False
        self.alive = lease > 0
        return True

    def settle(self, attempt: int, status: RunStatus, output: str) -> RunStatus | None:
        """End it."""
        if not self.heard(attempt):
            return None
        self.status = CANCELLED if self.asked else status
        self.output = output
        return self.status

    def release(self, attempt: int) -> None:
        """Let go of it."""
        if self.heard(attempt):
            self.status = CANCELLED if self.asked else PENDING

    def cancel(self) -> bool:
        """Ask for its end."""
        if not self.live:
            self.intent = self.intent or self.status is None
            return False
        self.asked = True
        if not (self.status is RUNNING and self.alive):
            self.status = CANCELLED
            self.attempt += 1
        return True


# Which run: most of the time one that has not ended.
numbers = st.integers(0, 9)
# Which attempt: 0 is the newest, 1 the one before it, -1 one that never was.
ages = st.sampled_from([0, 0, 0, 1, 1, 2, -1])
leases = st.sampled_from([LEASE, LAPSED])
ends = st.sampled_from([RunStatus.completed, RunStatus.error, CANCELLED])
inputs = st.sampled_from(['"x"', '"y"'])


class Runs(RuleBasedStateMachine):
    """What processes do with runs."""

    runner: asyncio.Runner
    stores: Sequence[Store]
    machines = 0

    def __init__(self) -> None:
        """Use run ids that no other example uses."""
        super().__init__()
        Runs.machines += 1
        self.models: dict[str, Model] = {}
        self.turns = 0

    @property
    def store(self) -> Store:
        """The processes in turn."""
        self.turns += 1
        return self.stores[self.turns % len(self.stores)]

    def unknown(self) -> str:
        run_id = f"{Runs.machines}-{len(self.models)}"
        self.models[run_id] = Model()
        return run_id

    def known(self, number: int) -> str:
        live = [run_id for run_id, model in self.models.items() if model.live]
        if not live:
            live.append(self.unknown())
            self.submit_as(live[0], '"new"', False, LEASE if number % 2 else None)
        run_ids = live if number < 8 else list(self.models)
        return run_ids[number % len(run_ids)]

    def attempt(self, run_id: str, age: int) -> int:
        return self.models[run_id].attempt - age

    def end(self, run_id: str, attempt: int, status: RunStatus) -> Settlement:
        return ending(run_id, attempt, status, output=f'"{attempt}"')

    @rule(
        number=numbers,
        input=inputs,
        cancelled=st.sampled_from([False, False, False, True]),
        lease=leases | st.none(),
    )
    def submit(self, number: int, input: str, cancelled: bool, lease: float | None) -> None:
        run_id = self.unknown() if number < 5 else self.known(number)
        self.submit_as(run_id, input, cancelled, lease)

    def submit_as(self, run_id: str, input: str, cancelled: bool, lease: float | None) -> None:
        run = new_run(run_id, input=input, cancelled=cancelled, lease=lease)
        accepted = self.runner.run(self.store.submit(run))
        expected = self.models[run_id].submit(input, cancelled, lease)
        assert (accepted and accepted.status) == expected

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        run_id = self.known(number)
        cancelled = self.runner.run(self.store.cancel(run_id))
        assert cancelled is self.models[run_id].cancel()

    @rule(input=inputs, lease=leases | st.none(), times=st.integers(1, 2))
    def cancel_before_submit(self, input: str, lease: float | None, times: int) -> None:
        run_id = self.unknown()
        for _ in range(times):
            cancelled = self.runner.run(self.store.cancel(run_id))
            assert cancelled is self.models[run_id].cancel()
        self.submit_as(run_id, input, False, lease)

    @rule(number=numbers, lease=leases)
    def claim(self, number: int, lease: float) -> None:
        run_id = self.known(number)
        claimed = self.runner.run(self.store.claim(run_id, lease))
        expected = self.models[run_id].claim(lease)
        assert (claimed and (claimed.status, claimed.attempt)) == expected
        assert claimed is None or claimed.input == self.models[run_id].input

    @rule(number=numbers)
    def claim_from_everywhere_at_once(self, number: int) -> None:
        run_id = self.known(number)

        async def claim() -> list[tuple[RunStatus, int]]:
            claims = [store.claim(run_id, LEASE) for store in self.stores for _ in range(2)]
            return [(each.status, each.attempt) for each in await asyncio.gather(*claims) if each]

        claimed = self.runner.run(claim())
        expected = self.models[run_id].claim(LEASE)
        assert claimed == ([expected] if expected else [])

    @rule(number=numbers)
    def take_over(self, number: int) -> None:
        """The newest attempt shows no sign of life."""
        run_id = self.known(number)
        self.protect(run_id, self.attempt(run_id, 0), LAPSED)
        self.claim(number, LEASE)

    @rule(number=numbers, age=ages, lease=leases)
    def extend(self, number: int, age: int, lease: float) -> None:
        run_id = self.known(number)
        self.protect(run_id, self.attempt(run_id, age), lease)

    def protect(self, run_id: str, attempt: int, lease: float) -> None:
        model = self.models[run_id]
        mine = self.runner.run(self.store.extend([(run_id, attempt)], lease))
        assert mine == ({run_id: model.asked} if model.extend(attempt, lease) else {})

    @rule(number=numbers, age=ages, status=ends)
    def settle(self, number: int, age: int, status: RunStatus) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        settled = self.runner.run(self.store.settle(self.end(run_id, attempt, status)))
        assert settled == self.models[run_id].settle(attempt, status, f'"{attempt}"')

    @rule(number=numbers, status=ends, backwards=st.booleans())
    def settle_every_attempt_at_once(self, number: int, status: RunStatus, backwards: bool) -> None:
        run_id, store = self.known(number), self.store
        model = self.models[run_id]
        attempts = sorted(range(model.attempt + 1), reverse=backwards)

        async def settle() -> list[RunStatus | None]:
            settlements = [self.end(run_id, attempt, status) for attempt in attempts]
            return await asyncio.gather(*map(store.settle, settlements))

        heard = self.runner.run(settle())
        assert heard == [model.settle(attempt, status, f'"{attempt}"') for attempt in attempts]

    @rule(number=numbers, age=ages)
    def release(self, number: int, age: int) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        self.runner.run(self.store.release(run_id, attempt))
        self.models[run_id].release(attempt)

    @invariant()
    def every_process_sees_what_is_promised(self) -> None:
        for run_id, model in self.models.items():
            if model.end is None:
                self.look(run_id, model)

    def teardown(self) -> None:
        """An end is for good."""
        for run_id, model in self.models.items():
            self.look(run_id, model)

    def look(self, run_id: str, model: Model) -> None:
        record = self.runner.run(self.store.get(run_id, with_input=True))
        assert (record is None) is (model.status is None)
        if record is None:
            return
        assert record.status is model.status
        assert (record.attempt, record.input) == (model.attempt, model.input)
        assert record.output == model.output
        assert (record.finished_at is not None) is record.status.is_terminal
        if record.status.is_terminal:
            model.end = model.end or record
            assert record == model.end

    @invariant()
    def every_process_knows_what_to_do(self) -> None:
        asked = self.runner.run(self.store.asked(list(self.models)))
        assert {run_id for run_id, _, _ in asked} == {
            run_id for run_id, model in self.models.items() if model.stops
        }
        waiting = self.runner.run(self.store.unfinished(["agent"]))
        mine = [run_id for run_id, _ in waiting if run_id in self.models]
        live = [name for name, model in self.models.items() if model.live]
        assert mine == ([] if self.store.enqueues else live)


def explore(database: Database, examples: int) -> None:
    """Try orders of events, with the database open twice as two processes have it."""

    databases = [database, same(database)]

    with asyncio.Runner() as runner:

        class Explored(Runs):
            pass

        Explored.runner = runner
        Explored.stores = [runner.run(each.store()) for each in databases]
        run_state_machine_as_test(
            Explored,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_memory_keeps_the_promises_in_any_order(table: str) -> None:
    explore(InMemoryDb(table), examples=40)


def test_sqlite_keeps_the_promises_in_any_order(sqlite_db: SqliteDb) -> None:
    explore(sqlite_db, examples=10)


def test_postgres_keeps_the_promises_in_any_order(postgres_db: PostgresDb) -> None:
    explore(postgres_db, examples=20)
