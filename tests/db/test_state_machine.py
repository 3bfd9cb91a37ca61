"""Every order of what can happen to runs, against a model of what is promised.

Stale attempts go on writing, leases expire at any moment, and two processes use the database one
after the other. In the end every run ends.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from deliveries import Deliveries
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from run_model import ASKED, DONE, PIECE, PIECES, WHOLE, Happened, Model
from stores import CLAIM, EXPIRED, LEASE, ending, new_run, same, settled_as, sweep

from kern.db.base import Store
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.db.values import Appended, Claim
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord, Settlement

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR = RunStatus.paused, RunStatus.error

# Which run: most of the time one that has not ended.
numbers = st.integers(0, 9)
# Which attempt: 0 is the newest, 1 the one before it, -1 one that never was.
ages = st.sampled_from([0, 0, 0, 1, 1, 2, -1])
leases = st.sampled_from([LEASE, EXPIRED])
limits = st.sampled_from([None, None, 1, 2])
ends = st.sampled_from([RunStatus.completed, ERROR, ERROR, CANCELLED, PAUSED, PAUSED])
kinds = st.lists(st.sampled_from([PIECE, PIECE, WHOLE, ASKED, DONE]), max_size=3)
inputs = st.sampled_from(['"x"', '"y"'])


class Runs(RuleBasedStateMachine):
    """What processes do with runs."""

    runner: asyncio.Runner
    stores: Sequence[Store]
    entries_may_be_stale: bool
    machines = 0

    def __init__(self) -> None:
        """Use run ids that no other example uses."""
        super().__init__()
        Runs.machines += 1
        self.models: dict[str, Model] = {}
        self.touched: set[str] = set()
        self.calls = 0
        self.agent = f"agent-{Runs.machines}"
        self.session = f"session-{Runs.machines}"
        self.worker = Deliveries(*self.stores, agents=[self.agent])

    @property
    def store(self) -> Store:
        """The next of the processes."""
        self.calls += 1
        return self.stores[self.calls % len(self.stores)]

    def unknown(self) -> str:
        run_id = f"{Runs.machines}-{len(self.models)}"
        self.models[run_id] = Model("ada" if len(self.models) % 2 else None)
        self.touched.add(run_id)
        return run_id

    def known(self, number: int) -> str:
        live = [run_id for run_id, model in self.models.items() if model.live]
        if not live:
            live.append(self.unknown())
            self.submit_as(live[0], '"new"', False, LEASE if number % 2 else None)
        run_ids = live if number < 8 else list(self.models)
        run_id = run_ids[number % len(run_ids)]
        self.touched.add(run_id)
        return run_id

    def standing_still(self, number: int) -> str:
        """Return a run that can be resumed, if there is one."""
        still = [name for name, model in self.models.items() if model.status in (PAUSED, ERROR)]
        if not still:
            return self.known(number)
        self.touched.add(still[number % len(still)])
        return still[number % len(still)]

    def attempt(self, run_id: str, age: int) -> int:
        return self.models[run_id].attempt - age

    def rows(self, run_id: str, happened: Sequence[Happened]) -> tuple[JournalRow, ...]:
        return tuple(
            JournalRow(run_id, seq, 2 * seq, type, type in PIECES, payload)
            for seq, type, payload in happened
        )

    def end(
        self,
        run_id: str,
        attempt: int,
        status: RunStatus,
        happened: Sequence[Happened] = (),
        fold_before: int = 0,
    ) -> Settlement:
        settlement = ending(run_id, attempt, status, output=f'"{attempt}"')
        rows = self.rows(run_id, happened)
        return replace(settlement, journal=rows, fold_before=fold_before)

    @rule(
        number=numbers,
        input=inputs,
        cancelled=st.sampled_from([False, False, False, True]),
        lease=leases | st.none(),
    )
    def submit(self, number: int, input: str, cancelled: bool, lease: float | None) -> None:
        run_id = self.unknown() if number < 5 else self.known(number)
        self.submit_as(run_id, input, cancelled, lease)

    @rule(parent=numbers, lease=leases | st.none(), ordered=st.booleans(), when=st.integers(0, 2))
    def submit_child(self, parent: int, lease: float | None, ordered: bool, when: int) -> None:
        """Submit a child, whose parent may be cancelled just before or after that."""
        parent_id, run_id = self.known(parent), self.unknown()
        if when == 1:
            assert self.runner.run(self.store.cancel(parent_id)) is self.models[parent_id].cancel()
        self.submit_as(run_id, '"child"', False, lease, ordered, parent_id)
        if when == 2:
            assert self.runner.run(self.store.cancel(parent_id)) is self.models[parent_id].cancel()

    def submit_as(
        self,
        run_id: str,
        input: str,
        cancelled: bool,
        lease: float | None,
        ordered: bool = False,
        parent_id: str | None = None,
    ) -> None:
        model = self.models[run_id]
        run = new_run(
            run_id,
            agent_id=self.agent,
            session_id=self.session,
            user_id=model.user_id,
            input=input,
            cancelled=cancelled,
            lease=lease,
            ordered=ordered,
            parent_run_id=parent_id,
            webhook="https://x.test",
        )
        accepted = self.runner.run(self.store.submit(run))
        if model.status is None and parent_id is not None:
            model.parent = self.models[parent_id]
        if accepted is not None and accepted.waiting:
            lease = None  # It cannot begin where it is accepted.
        expected = model.submit(input, cancelled, lease, ordered)
        assert (accepted and accepted.status) == expected
        if accepted is not None and ordered and expected is PENDING:
            in_the_way = [other for other in self.ordered(run_id) if other.began or other.fresh]
            assert accepted.waiting or not in_the_way
            assert self.ordered(run_id) or not accepted.waiting
        if ordered and expected is RUNNING:
            assert not [other for other in self.ordered(run_id) if other.began], "one at a time"

    @rule(input=inputs, count=st.integers(1, 3))
    def submit_in_order(self, input: str, count: int) -> None:
        for _ in range(count):
            self.submit_as(self.unknown(), input, False, None, ordered=True)

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

    @rule(number=numbers, lease=leases, agent_limit=limits, user_limit=limits)
    def claim(
        self, number: int, lease: float, agent_limit: int | None, user_limit: int | None
    ) -> None:
        self.claim_as(self.known(number), Claim("executor", lease, agent_limit, user_limit))

    @rule(agent_limit=limits, user_limit=limits)
    def claim_all_that_is_offered(self, agent_limit: int | None, user_limit: int | None) -> None:
        for run_id in self.runner.run(self.worker.offered()):
            self.touched.add(run_id)
            self.claim_as(run_id, Claim("executor", LEASE, agent_limit, user_limit))

    def claim_as(self, run_id: str, claim: Claim) -> None:
        waits = self.waits(run_id)
        self.claimed(run_id, self.runner.run(self.store.claim(run_id, claim)), claim, waits)

    @rule(number=numbers)
    def claim_from_everywhere_at_once(self, number: int) -> None:
        run_id = self.known(number)

        async def claim() -> list[RunRecord]:
            claims = [store.claim(run_id, CLAIM) for store in self.stores for _ in range(2)]
            return [record for record in await asyncio.gather(*claims) if record]

        waits = self.waits(run_id)
        claimed = self.runner.run(claim())
        assert len(claimed) <= 1
        self.claimed(run_id, claimed[0] if claimed else None, CLAIM, waits)

    def waits(self, run_id: str) -> bool:
        """Return whether a run waits for another one, as the database says."""
        record = self.runner.run(self.store.get(run_id))
        return record is not None and record.waiting

    def claimed(self, run_id: str, claimed: RunRecord | None, claim: Claim, waits: bool) -> None:
        """Check what a claim has answered; a run may have to wait for others."""
        model, others = self.models[run_id], self.ordered(run_id)
        if model.status is PENDING and not waits and not model.is_orphan:
            is_full = self.is_full(model, claim)
            if claimed is None:
                assert is_full or (model.ordered and others)
                model.limited = model.limited or is_full
                return
            assert not is_full
            if model.ordered:
                assert not [other for other in others if other.began], "one at a time"
                earlier = list(self.models.values())
                earlier = earlier[: earlier.index(model)]
                assert not (
                    model.fresh and [each for each in others if each.fresh and each in earlier]
                )
        expected = None if waits else model.claim(claim.lease, claim.is_limited)
        assert (claimed and (claimed.status, claimed.attempt, claimed.last_seq)) == expected
        assert claimed is None or claimed.input == model.input

    def is_full(self, model: Model, claim: Claim) -> bool:
        """Return whether a limit leaves no room for a run, whose ancestors do not count."""
        above, parent = set[int](), model.parent
        while parent is not None:
            above.add(id(parent))
            parent = parent.parent
        counted = [
            each for each in self.models.values() if each.is_counted and id(each) not in above
        ]
        mine = [each for each in counted if each.user_id == model.user_id]
        return (claim.agent_limit is not None and len(counted) >= claim.agent_limit) or (
            claim.user_limit is not None
            and model.user_id is not None
            and len(mine) >= claim.user_limit
        )

    def ordered(self, run_id: str) -> list[Model]:
        """Return the other runs that execute one after another and have not ended."""
        return [
            model
            for other, model in self.models.items()
            if other != run_id and model.ordered and model.live
        ]

    @rule(number=numbers, agent_limit=limits, user_limit=limits)
    def make_due(self, number: int, agent_limit: int | None, user_limit: int | None) -> None:
        user_id = self.models[self.known(number)].user_id
        claim = Claim("executor", LEASE, agent_limit, user_limit)
        self.runner.run(self.store.make_due(self.agent, user_id, claim))

    @rule(number=numbers, age=ages, counted=st.booleans())
    def set_counted(self, number: int, age: int, counted: bool) -> None:
        run_id = self.known(number)
        model, attempt = self.models[run_id], self.attempt(run_id, age)
        self.runner.run(self.store.set_counted(run_id, attempt, counted))
        if model.is_newest(attempt):
            model.counted = counted

    @rule()
    def sweep(self) -> None:
        swept = self.runner.run(sweep(self.store))
        expired = {run_id for run_id, model in self.models.items() if model.sweep()}
        assert {run_id for run_id in swept.expired if run_id in self.models} == expired
        self.touched |= expired

    @rule(number=numbers, cancelled=st.booleans())
    def lose(self, number: int, cancelled: bool) -> None:
        """The newest attempt shows no sign of life, and another one begins."""
        run_id = self.known(number)
        if cancelled:
            assert self.runner.run(self.store.cancel(run_id)) is self.models[run_id].cancel()
        self.protect(run_id, self.attempt(run_id, 0), EXPIRED)
        self.sweep()
        self.claim(number, LEASE, None, None)

    @rule(number=numbers, age=ages, lease=leases)
    def extend(self, number: int, age: int, lease: float) -> None:
        run_id = self.known(number)
        self.protect(run_id, self.attempt(run_id, age), lease)

    def protect(self, run_id: str, attempt: int, lease: float) -> None:
        model = self.models[run_id]
        mine = self.runner.run(self.store.extend([(run_id, attempt)], lease))
        assert mine == ({run_id: model.cancelled} if model.extend(attempt, lease) else {})

    @rule(number=numbers, age=ages, types=kinds, streamed=st.booleans())
    def append(self, number: int, age: int, types: list[str], streamed: bool) -> None:
        run_id = self.known(number)
        model, attempt = self.models[run_id], self.attempt(run_id, age)
        self.write(run_id, attempt, model.next_rows(attempt, types), streamed)

    @rule(number=numbers, age=ages, count=st.integers(1, 4))
    def append_again(self, number: int, age: int, count: int) -> None:
        """The answer to the last write was lost, so it is sent once more."""
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        self.write(run_id, attempt, self.models[run_id].sent.get(attempt, [])[-count:], False)

    def write(
        self, run_id: str, attempt: int, happened: Sequence[Happened], streamed: bool
    ) -> None:
        rows = self.rows(run_id, happened)
        written = self.runner.run(self.store.append(run_id, attempt, rows, streamed))
        assert (written is not None) is self.models[run_id].append(attempt, happened)

    @rule(number=numbers, types=kinds, backwards=st.booleans())
    def append_from_every_attempt_at_once(
        self, number: int, types: list[str], backwards: bool
    ) -> None:
        run_id, store = self.known(number), self.store
        model = self.models[run_id]
        attempts = sorted(range(model.attempt + 1), reverse=backwards)
        sent = {attempt: model.next_rows(attempt, types) for attempt in attempts}

        async def append() -> list[Appended | None]:
            return await asyncio.gather(
                *(
                    store.append(run_id, attempt, self.rows(run_id, happened), False)
                    for attempt, happened in sent.items()
                )
            )

        written = [each is not None for each in self.runner.run(append())]
        assert written == [model.append(attempt, happened) for attempt, happened in sent.items()]

    @rule(number=numbers, age=ages, status=ends, types=kinds, folds=st.booleans())
    def settle(
        self, number: int, age: int, status: RunStatus, types: list[str], folds: bool
    ) -> None:
        run_id = self.known(number)
        model, attempt = self.models[run_id], self.attempt(run_id, age)
        happened = model.next_rows(attempt, types)
        fold_before = happened[-1].seq if folds and happened else 0
        happened = [row for row in happened if row.type not in PIECES or row.seq >= fold_before]
        end = self.end(run_id, attempt, status, happened, fold_before)
        settled = self.runner.run(self.store.settle(end))
        if model.append(attempt, happened):
            model.fold(fold_before)
        assert settled_as(settled) == model.settle(attempt, status, f'"{attempt}"')

    @rule(count=st.integers(1, 3))
    def settle_the_first_that_run(self, count: int) -> None:
        running = [run_id for run_id, model in self.models.items() if model.status is RUNNING]
        for run_id in running[:count]:
            self.touched.add(run_id)
            model = self.models[run_id]
            end = self.end(run_id, model.attempt, RunStatus.completed)
            settled = self.runner.run(self.store.settle(end))
            assert settled_as(settled) == model.settle(model.attempt, end.status, end.output)

    @rule(number=numbers, status=ends, types=kinds, backwards=st.booleans())
    def settle_every_attempt_at_once(
        self, number: int, status: RunStatus, types: list[str], backwards: bool
    ) -> None:
        run_id, store = self.known(number), self.store
        model = self.models[run_id]
        attempts = sorted(range(model.attempt + 1), reverse=backwards)
        sent = {attempt: model.next_rows(attempt, types) for attempt in attempts}

        async def settle() -> list[RunStatus | None]:
            settlements = [self.end(run_id, each, status, sent[each]) for each in attempts]
            return list(map(settled_as, await asyncio.gather(*map(store.settle, settlements))))

        written = self.runner.run(settle())
        for attempt in attempts:
            model.append(attempt, sent[attempt])
        assert written == [model.settle(attempt, status, f'"{attempt}"') for attempt in attempts]

    @rule(number=numbers, age=ages, status=st.sampled_from([PAUSED, ERROR]), types=kinds)
    def resume(self, number: int, age: int, status: RunStatus, types: list[str]) -> None:
        run_id = self.standing_still(number)
        model, attempt = self.models[run_id], self.attempt(run_id, age)
        numbered = enumerate(types, model.last_seq + 1)
        added = [Happened(seq, type, '{"from":"a person"}') for seq, type in numbered]
        rows = self.rows(run_id, added)
        resumed = self.runner.run(self.store.resume(run_id, status, attempt, rows))
        assert (resumed is not None) is model.resume(status, attempt, added)

    @rule(number=numbers, used=numbers, seq=st.integers(0, 9), cancelled=st.booleans())
    def fork(self, number: int, used: int, seq: int, cancelled: bool) -> None:
        origin = self.known(number)
        if self.models[origin].status is None:
            return
        run_id = self.unknown() if used < 7 else self.known(used)
        if cancelled:
            assert self.runner.run(self.store.cancel(run_id)) is self.models[run_id].cancel()
        run = new_run(
            run_id,
            agent_id=self.agent,
            session_id=self.session,
            user_id=self.models[run_id].user_id,
            input=self.models[origin].input,
            webhook="https://x.test",
        )
        forked = self.runner.run(self.store.fork(run, origin, seq)) is not None
        assert forked is self.models[run_id].fork(self.models[origin], seq)

    @rule(number=numbers, age=ages)
    def release(self, number: int, age: int) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        released = self.runner.run(self.store.release(run_id, attempt))
        assert released == self.models[run_id].give_up(attempt)

    @rule(number=numbers, age=ages, for_too_long=st.booleans())
    def refuse(self, number: int, age: int, for_too_long: bool) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        patience = timedelta(0) if for_too_long else timedelta(days=1)
        refused = self.runner.run(self.store.refuse(run_id, attempt, "No key.", 0.0, patience))
        status = ERROR if for_too_long else PENDING
        assert refused == self.models[run_id].give_up(attempt, status)

    @rule(number=numbers, age=ages)
    def postpone(self, number: int, age: int) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        postponed = self.runner.run(self.store.postpone(run_id, attempt, 0.0, []))
        assert postponed == self.models[run_id].postpone(attempt)

    @invariant()
    def every_process_sees_what_is_promised(self) -> None:
        for run_id in self.touched:
            self.look(run_id, self.models[run_id])
        self.touched.clear()

    def teardown(self) -> None:
        """An end is for good, and nothing that happened to one run has changed another."""
        for run_id, model in self.models.items():
            self.look(run_id, model)
        self.look_at_the_webhooks()
        self.runner.run(self.finish())

    def look_at_the_webhooks(self) -> None:
        """Every end and every pause has its webhook, once."""
        due = self.runner.run(self.store.outbox.take(10_000, LEASE))
        found = [(each.run_id, each.attempt) for each in due if each.run_id in self.models]
        assert sorted(found) == sorted(
            (run_id, attempt) for run_id, model in self.models.items() for attempt in model.webhooks
        )

    async def finish(self) -> None:
        """Whatever has happened, every run comes to its end, if workers go on."""
        worker = Deliveries(*self.stores, agents=[self.agent], agent_limit=1, user_limit=1)
        for _ in range(len(self.models) + 1):
            records = [await self.store.get(run_id) for run_id in self.models]
            live = [record for record in records if record and not record.status.is_terminal]
            if not live:
                return
            for record in live:
                if record.status is RUNNING:
                    await worker.end(record)
                elif record.status is PAUSED:
                    await worker.cancel(record.run_id)
            await worker.execute_all()
            await sweep(self.store)
        raise AssertionError(f"These runs have not ended: {live}")

    def look(self, run_id: str, model: Model) -> None:
        record = self.runner.run(self.store.get(run_id, with_input=True))
        self.look_at_the_journal(run_id, model)
        assert (record is None) is (model.status is None)
        if record is None:
            return
        assert record.status is model.status
        assert (record.attempt, record.input) == (model.attempt, model.input)
        assert record.failures == model.failures
        assert record.output == model.output
        assert (record.finished_at is not None) is record.status.is_terminal
        if record.status.is_terminal:
            model.end = model.end or record
            assert record == model.end
            assert record.status is CANCELLED or not model.cancelled, "a cancel said True"

    def look_at_the_journal(self, run_id: str, model: Model) -> None:
        """Committed rows are exactly the model's, in order, and never change."""
        rows = self.runner.run(self.store.events(run_id, 0))
        assert [Happened(row.seq, row.type, row.payload) for row in rows] == model.journal
        assert all(row.run_id == run_id and row.created_at > 0 for row in rows)
        numbers = [row.seq for row in rows]
        assert numbers == sorted(set(numbers))
        assert all(model.seen.get(row.seq, row) == row for row in rows)
        model.seen.update({row.seq: row for row in rows})

    @invariant()
    def every_process_knows_what_to_do(self) -> None:
        wanted = self.runner.run(self.store.wanted(list(self.models)))
        assert {run_id for run_id, _, _ in wanted} == {
            run_id for run_id, model in self.models.items() if model.stops
        }

    @invariant()
    def every_pending_run_is_offered_or_waits(self) -> None:
        """It waits for another one that is alive, or since its claim found a limit reached."""
        offered = self.runner.run(self.worker.offered())
        for run_id, model in self.models.items():
            if model.status is PENDING:
                waits = self.waits(run_id)
                assert waits or run_id in offered
                # PostgreSQL's entries are hints that may outlive what they said.
                assert not waits or run_id not in offered or self.entries_may_be_stale
                assert self.ordered(run_id) or model.limited or not waits


def explore(database: Database, examples: int) -> None:
    """Try orders of events, with the database open twice as two processes have it."""

    databases = [database, same(database)]

    with asyncio.Runner() as runner:

        class Explored(Runs):
            pass

        Explored.runner = runner
        Explored.entries_may_be_stale = isinstance(database, PostgresDb)
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


NIGHTLY = [pytest.mark.nightly, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=NIGHTLY)])
def test_memory_keeps_the_promises_in_any_order(table: str, examples: int) -> None:
    explore(InMemoryDb(table), examples)


@pytest.mark.parametrize("examples", [6, pytest.param(100, marks=NIGHTLY)])
def test_sqlite_keeps_the_promises_in_any_order(sqlite_db: SqliteDb, examples: int) -> None:
    explore(sqlite_db, examples)


@pytest.mark.parametrize("examples", [6, pytest.param(100, marks=NIGHTLY)])
def test_postgres_keeps_the_promises_in_any_order(postgres_db: PostgresDb, examples: int) -> None:
    explore(postgres_db, examples)
