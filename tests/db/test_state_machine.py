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
    initialize,
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
from kern.run.record import Settlement

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


NAMES = ["a", "b"]
names = st.sampled_from(NAMES)
# An attempt as it is remembered: 0 is the newest, 1 the one before it, -1 one that never was.
ages = st.sampled_from([0, 0, 0, 1, 2, -1])
leases = st.sampled_from([LEASE, LAPSED])
ends = st.sampled_from([RunStatus.completed, RunStatus.error, CANCELLED])
inputs = st.sampled_from(['"x"', '"y"'])


class Runs(RuleBasedStateMachine):
    """What processes do with two runs."""

    runner: asyncio.Runner
    stores: Sequence[Store]
    machines = 0

    @initialize()
    def begin(self) -> None:
        """Use runs that no other example uses."""
        Runs.machines += 1
        self.prefix = f"{Runs.machines}-"
        self.models = {name: Model() for name in NAMES}
        self.turns = 0
        self.ended: dict[str, object] = {}

    def run_id(self, name: str) -> str:
        return self.prefix + name

    def attempt(self, name: str, age: int) -> int:
        return self.models[name].attempt - age

    @property
    def store(self) -> Store:
        """The stores in turn."""
        self.turns += 1
        return self.stores[self.turns % len(self.stores)]

    @rule(
        name=names,
        input=inputs,
        cancelled=st.sampled_from([False, False, True]),
        lease=leases | st.none(),
    )
    def submit(self, name: str, input: str, cancelled: bool, lease: float | None) -> None:
        run = new_run(self.run_id(name), input=input, cancelled=cancelled, lease=lease)
        accepted = self.runner.run(self.store.submit(run))
        expected = self.models[name].submit(input, cancelled, lease)
        assert (accepted and accepted.status) == expected

    @rule(name=names)
    def cancel(self, name: str) -> None:
        cancelled = self.runner.run(self.store.cancel(self.run_id(name)))
        assert cancelled is self.models[name].cancel()

    @rule(name=names, lease=leases)
    def claim(self, name: str, lease: float) -> None:
        claimed = self.runner.run(self.store.claim(self.run_id(name), lease))
        expected = self.models[name].claim(lease)
        assert (claimed and (claimed.status, claimed.attempt)) == expected
        assert claimed is None or claimed.input == self.models[name].input

    @rule(name=names)
    def claim_from_everywhere_at_once(self, name: str) -> None:
        async def claim() -> list[tuple[RunStatus, int]]:
            run_id = self.run_id(name)
            claims = [store.claim(run_id, LEASE) for store in self.stores for _ in range(2)]
            return [(each.status, each.attempt) for each in await asyncio.gather(*claims) if each]

        claimed = self.runner.run(claim())
        expected = self.models[name].claim(LEASE)
        assert claimed == ([expected] if expected else [])

    @rule(name=names, age=ages, lease=leases)
    def extend(self, name: str, age: int, lease: float) -> None:
        self.extend_attempt(name, self.attempt(name, age), lease)

    @rule(name=names)
    def lapse(self, name: str) -> None:
        """The newest attempt shows no sign of life."""
        self.extend_attempt(name, self.attempt(name, 0), LAPSED)

    def extend_attempt(self, name: str, attempt: int, lease: float) -> None:
        run_id, model = self.run_id(name), self.models[name]
        mine = self.runner.run(self.store.extend([(run_id, attempt)], lease))
        assert mine == ({run_id: model.asked} if model.extend(attempt, lease) else {})

    @rule(name=names, age=ages, status=ends)
    def settle(self, name: str, age: int, status: RunStatus) -> None:
        attempt = self.attempt(name, age)
        settled = self.runner.run(self.store.settle(self.end(name, attempt, status)))
        assert settled == self.models[name].settle(attempt, status, f'"{attempt}"')

    @rule(name=names, status=ends, newest_first=st.booleans())
    def settle_every_attempt_at_once(
        self, name: str, status: RunStatus, newest_first: bool
    ) -> None:
        model = self.models[name]
        attempts = sorted(range(model.attempt + 1), reverse=newest_first)
        store = self.store

        async def settle() -> list[RunStatus | None]:
            settlements = [self.end(name, attempt, status) for attempt in attempts]
            return await asyncio.gather(*map(store.settle, settlements))

        heard = self.runner.run(settle())
        assert heard == [model.settle(attempt, status, f'"{attempt}"') for attempt in attempts]

    @rule(name=names, age=ages)
    def release(self, name: str, age: int) -> None:
        attempt = self.attempt(name, age)
        self.runner.run(self.store.release(self.run_id(name), attempt))
        self.models[name].release(attempt)

    @invariant()
    def every_process_sees_what_is_promised(self) -> None:
        for name, model in self.models.items():
            record = self.runner.run(self.store.get(self.run_id(name), with_input=True))
            if record is None:
                assert model.status is None
                continue
            assert record.status is model.status
            assert (record.attempt, record.input) == (model.attempt, model.input)
            assert record.output == model.output
            assert (record.finished_at is not None) is record.status.is_terminal
            if record.status.is_terminal:
                assert self.ended.setdefault(name, record) == record, "an end is for good"

    @invariant()
    def every_process_knows_what_to_do(self) -> None:
        run_ids = {self.run_id(name): model for name, model in self.models.items()}
        asked = self.runner.run(self.store.cancelled(list(run_ids)))
        assert sorted(asked) == [
            run_id for run_id, model in run_ids.items() if model.asked and model.status is RUNNING
        ]
        waiting = self.runner.run(self.store.unfinished(["agent"]))
        mine = sorted(run_id for run_id, _ in waiting if run_id.startswith(self.prefix))
        assert mine == [run_id for run_id, model in run_ids.items() if model.waits]

    def end(self, name: str, attempt: int, status: RunStatus) -> Settlement:
        return ending(self.run_id(name), attempt, status, output=f'"{attempt}"')


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
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_memory_keeps_the_promises_in_any_order(table: str) -> None:
    explore(InMemoryDb(table), examples=30)


def test_sqlite_keeps_the_promises_in_any_order(sqlite_db: SqliteDb) -> None:
    explore(sqlite_db, examples=30)


def test_postgres_keeps_the_promises_in_any_order(postgres_db: PostgresDb) -> None:
    explore(postgres_db, examples=30)
