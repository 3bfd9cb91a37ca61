"""Every order of what can happen to runs, against a model of what is promised.

Attempts that were overtaken go on speaking, leases run out at any moment, and two processes use
the database in turn.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from deliveries import Deliveries
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from stores import LAPSED, LEASE, ending, new_run, same

from kern.db.base import LOST_ATTEMPTS, Database, Store
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.run.base import RunStatus
from kern.run.record import JournalRow, RunRecord, Settlement

PENDING, RUNNING, CANCELLED = RunStatus.pending, RunStatus.running, RunStatus.cancelled
PAUSED, ERROR = RunStatus.paused, RunStatus.error

PIECE, WHOLE, BEGUN, DONE = (
    "RunContent",
    "ModelRequestCompleted",
    "ToolCallStarted",
    "ToolCallCompleted",
)


class Happened(NamedTuple):
    """A row of a journal, but for when it was written."""

    seq: int
    type: str
    payload: str


@dataclass
class Model:
    """What is promised of a run; without a status it is not known yet."""

    status: RunStatus | None = None
    ordered: bool = False
    fresh: bool = True
    lost: int = 0
    intent: bool = False
    input: str | None = None
    attempt: int = 0
    asked: bool = False
    alive: bool = False
    output: str | None = None
    end: RunRecord | None = None
    journal: list[Happened] = field(default_factory=list)
    # By attempt, what it has sent, heard or not, and the last number before that.
    began_after: dict[int, int] = field(default_factory=dict)
    sent: dict[int, list[Happened]] = field(default_factory=dict)
    # By number, the rows that a process has seen.
    seen: dict[int, JournalRow] = field(default_factory=dict)

    @property
    def stops(self) -> bool:
        """Whether its executor is asked to stop it."""
        return self.status is RUNNING and self.asked

    @property
    def waits(self) -> bool:
        """Whether an executor may take it."""
        return self.status is PENDING or (self.status is RUNNING and not self.alive)

    @property
    def began(self) -> bool:
        """Whether it stands in the way of those who come after it in its session."""
        return self.status in (RUNNING, PAUSED)

    @property
    def live(self) -> bool:
        """Whether it is known and has not ended."""
        return self.status is not None and not self.status.is_terminal

    @property
    def executable(self) -> bool:
        """Whether the queue has to know it."""
        return self.live and self.status is not PAUSED

    @property
    def last_seq(self) -> int:
        """The number of its journal's last row."""
        return self.journal[-1].seq if self.journal else 0

    def heard(self, attempt: int) -> bool:
        """Whether an attempt may write."""
        return self.status is RUNNING and self.attempt == attempt

    def submit(
        self, input: str, cancelled: bool, lease: float | None, ordered: bool = False
    ) -> RunStatus | None:
        """Accept it, unless its id is in use."""
        if self.status is not None:
            return None
        self.input, self.ordered = input, ordered
        if cancelled or self.intent:
            self.status = CANCELLED
        elif lease is None:
            self.status = PENDING
        else:
            self.status, self.attempt, self.alive = RUNNING, 1, lease > 0
        return self.status

    def next_rows(self, attempt: int, types: Sequence[str]) -> list[Happened]:
        """Number what an attempt sends as it counts, whatever others have written meanwhile."""
        sent = self.sent.setdefault(attempt, [])
        last = sent[-1].seq if sent else self.began_after.setdefault(attempt, self.last_seq)
        rows = [
            Happened(seq, type, f'{{"from":{attempt}}}') for seq, type in enumerate(types, last + 1)
        ]
        sent += rows
        return rows

    def append(self, attempt: int, rows: Sequence[Happened]) -> bool:
        """Write rows, but those only that are not there yet."""
        if not self.heard(attempt):
            return False
        self.journal += [row for row in rows if row.seq > self.last_seq]
        return True

    def fold(self, before: int) -> None:
        """Drop the pieces of texts that are there as a whole."""
        self.journal = [row for row in self.journal if row.type != PIECE or row.seq >= before]

    def take_up(self, status: RunStatus, added: Sequence[tuple[str, str]]) -> bool:
        """Have it go on."""
        if self.status is not status:
            return False
        self.status, self.end, self.lost = PENDING, None, 0
        rows = enumerate(added, self.last_seq + 1)
        self.journal += [Happened(seq, type, payload) for seq, (type, payload) in rows]
        return True

    def fork(self, origin: "Model", seq: int) -> bool:
        """Begin as another run did."""
        if self.submit(origin.input or "", False, None) is None:
            return False
        self.journal = [
            row for row in origin.journal if row.seq <= seq and row.type not in (PIECE, BEGUN)
        ]
        return True

    def claim(self, lease: float) -> tuple[RunStatus, int, int] | None:
        """Begin the next attempt."""
        if not self.waits:
            return None
        self.lost += self.status is RUNNING
        given_up = self.status is RUNNING and self.lost == LOST_ATTEMPTS
        self.status = CANCELLED if self.asked else ERROR if given_up else RUNNING
        self.fresh = False
        self.attempt += 1
        self.alive = lease > 0
        self.began_after[self.attempt] = self.last_seq
        return self.status, self.attempt, self.last_seq

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

    def release(self, attempt: int) -> bool:
        """Let go of it."""
        if not self.heard(attempt):
            return False
        self.status = CANCELLED if self.asked else PENDING
        return True

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
ends = st.sampled_from([RunStatus.completed, ERROR, ERROR, CANCELLED, PAUSED, PAUSED])
kinds = st.lists(st.sampled_from([PIECE, PIECE, WHOLE, BEGUN, DONE]), max_size=3)
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
        self.touched: set[str] = set()
        self.turns = 0
        self.worker = Deliveries(*self.stores)
        self.session = f"session-{Runs.machines}"

    @property
    def store(self) -> Store:
        """The processes in turn."""
        self.turns += 1
        return self.stores[self.turns % len(self.stores)]

    def unknown(self) -> str:
        run_id = f"{Runs.machines}-{len(self.models)}"
        self.models[run_id] = Model()
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
        """Return a run that can be taken up, if there is one."""
        still = [name for name, model in self.models.items() if model.status in (PAUSED, ERROR)]
        if not still:
            return self.known(number)
        self.touched.add(still[number % len(still)])
        return still[number % len(still)]

    def attempt(self, run_id: str, age: int) -> int:
        return self.models[run_id].attempt - age

    def rows(self, run_id: str, happened: Sequence[Happened]) -> tuple[JournalRow, ...]:
        return tuple(JournalRow(run_id, *each) for each in happened)

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

    def submit_as(
        self,
        run_id: str,
        input: str,
        cancelled: bool,
        lease: float | None,
        ordered: bool = False,
    ) -> None:
        run = new_run(
            run_id,
            session_id=self.session,
            input=input,
            cancelled=cancelled,
            lease=lease,
            ordered=ordered,
        )
        accepted = self.runner.run(self.worker.submit(run))
        expected = self.models[run_id].submit(input, cancelled, lease, ordered)
        assert (accepted and accepted.status) == expected
        if accepted is not None and ordered and expected is PENDING:
            in_the_way = [other for other in self.ordered(run_id) if other.began or other.fresh]
            assert accepted.waiting or not in_the_way
            assert self.ordered(run_id) or not accepted.waiting

    @rule(input=inputs, count=st.integers(1, 3))
    def submit_in_order(self, input: str, count: int) -> None:
        for _ in range(count):
            self.submit_as(self.unknown(), input, False, None, ordered=True)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        run_id = self.known(number)
        cancelled = self.runner.run(self.worker.cancel(run_id))
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
        expected = self.claimed(run_id, claimed, lease)
        assert (claimed and (claimed.status, claimed.attempt, claimed.last_seq)) == expected
        assert claimed is None or claimed.input == self.models[run_id].input

    @rule(number=numbers)
    def claim_from_everywhere_at_once(self, number: int) -> None:
        run_id = self.known(number)

        async def claim() -> list[RunRecord]:
            claims = [store.claim(run_id, LEASE) for store in self.stores for _ in range(2)]
            return [record for record in await asyncio.gather(*claims) if record]

        claimed = self.runner.run(claim())
        expected = self.claimed(run_id, claimed[0] if claimed else None, LEASE)
        found = [(each.status, each.attempt, each.last_seq) for each in claimed]
        assert found == ([expected] if expected else [])

    def claimed(
        self, run_id: str, claimed: RunRecord | None, lease: float
    ) -> tuple[RunStatus, int, int] | None:
        """Return what a claim had to answer; a run may have to wait for others of its session."""
        model, others = self.models[run_id], self.ordered(run_id)
        if model.ordered and model.status is PENDING:
            if claimed is None and others:
                self.runner.run(self.delivered(run_id))
                return None
            assert not [other for other in others if other.began], "one at a time"
            earlier = list(self.models.values())
            earlier = earlier[: earlier.index(model)]
            assert not (model.fresh and [each for each in others if each.fresh and each in earlier])
        self.runner.run(self.delivered(run_id))
        return model.claim(lease)

    async def delivered(self, run_id: str) -> None:
        """Take the entries of a run out of the queue as a worker does, which has claimed it."""
        run = await self.store.get(run_id)
        if run is not None and (run.waiting or run.status is not PENDING):
            await self.worker.drop(run_id)
            await self.worker.follow(run_id)

    def ordered(self, run_id: str) -> list[Model]:
        """Return the other runs that execute one after another and have not ended."""
        return [
            model
            for other, model in self.models.items()
            if other != run_id and model.ordered and model.live
        ]

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
        assert written is self.models[run_id].append(attempt, happened)

    @rule(number=numbers, types=kinds, backwards=st.booleans())
    def append_from_every_attempt_at_once(
        self, number: int, types: list[str], backwards: bool
    ) -> None:
        run_id, store = self.known(number), self.store
        model = self.models[run_id]
        attempts = sorted(range(model.attempt + 1), reverse=backwards)
        sent = {attempt: model.next_rows(attempt, types) for attempt in attempts}

        async def append() -> list[bool]:
            return await asyncio.gather(
                *(
                    store.append(run_id, attempt, self.rows(run_id, happened), False)
                    for attempt, happened in sent.items()
                )
            )

        heard = self.runner.run(append())
        assert heard == [model.append(attempt, happened) for attempt, happened in sent.items()]

    @rule(number=numbers, age=ages, status=ends, types=kinds, folds=st.booleans())
    def settle(
        self, number: int, age: int, status: RunStatus, types: list[str], folds: bool
    ) -> None:
        run_id = self.known(number)
        model, attempt = self.models[run_id], self.attempt(run_id, age)
        happened = model.next_rows(attempt, types)
        fold_before = happened[-1].seq if folds and happened else 0
        happened = [row for row in happened if row.type != PIECE or row.seq >= fold_before]
        end = self.end(run_id, attempt, status, happened, fold_before)
        settled = self.runner.run(self.store.settle(end))
        self.runner.run(self.worker.follow(run_id))
        if model.append(attempt, happened):
            model.fold(fold_before)
        assert settled == model.settle(attempt, status, f'"{attempt}"')

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
            return await asyncio.gather(*map(store.settle, settlements))

        heard = self.runner.run(settle())
        self.runner.run(self.worker.follow(run_id))
        for attempt in attempts:
            model.append(attempt, sent[attempt])
        assert heard == [model.settle(attempt, status, f'"{attempt}"') for attempt in attempts]

    @rule(number=numbers, status=st.sampled_from([PAUSED, ERROR]), types=kinds)
    def take_up(self, number: int, status: RunStatus, types: list[str]) -> None:
        run_id = self.standing_still(number)
        added = [(type, '{"from":"a person"}') for type in types]
        taken = self.runner.run(self.store.take_up(run_id, status, added))
        if taken:
            self.worker.put(run_id)
        assert taken is self.models[run_id].take_up(status, added)

    @rule(number=numbers, used=numbers, seq=st.integers(0, 9), intended=st.booleans())
    def fork(self, number: int, used: int, seq: int, intended: bool) -> None:
        origin = self.known(number)
        if self.models[origin].status is None:
            return
        run_id = self.unknown() if used < 7 else self.known(used)
        if intended:
            cancelled = self.runner.run(self.worker.cancel(run_id))
            assert cancelled is self.models[run_id].cancel()
        run = new_run(run_id, session_id=self.session, input=self.models[origin].input)
        forked = self.runner.run(self.store.fork(run, origin, seq))
        if forked:
            self.worker.put(run_id)
        assert forked is self.models[run_id].fork(self.models[origin], seq)

    @rule(number=numbers, age=ages)
    def release(self, number: int, age: int) -> None:
        run_id = self.known(number)
        attempt = self.attempt(run_id, age)
        self.runner.run(self.store.release(run_id, attempt))
        if self.models[run_id].release(attempt):
            self.runner.run(self.worker.put_back(run_id))
        self.runner.run(self.worker.follow(run_id))

    @invariant()
    def every_process_sees_what_is_promised(self) -> None:
        for run_id in self.touched:
            self.look(run_id, self.models[run_id])
        self.touched.clear()

    def teardown(self) -> None:
        """An end is for good, and nothing that happened to one run has changed another."""
        for run_id, model in self.models.items():
            self.look(run_id, model)

    def look(self, run_id: str, model: Model) -> None:
        record = self.runner.run(self.store.get(run_id, with_input=True))
        self.look_at_the_journal(run_id, model)
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
            assert record.status is CANCELLED or not model.asked, "a cancel said True"

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
        asked = self.runner.run(self.store.asked(list(self.models)))
        assert {run_id for run_id, _, _ in asked} == {
            run_id for run_id, model in self.models.items() if model.stops
        }
        waiting = self.runner.run(self.store.unfinished(["agent"]))
        mine = [each.run_id for each in waiting if each.run_id in self.models]
        live = [name for name, model in self.models.items() if model.executable]
        assert mine == ([] if self.store.enqueues else live)

    @invariant()
    def every_pending_run_will_be_delivered(self) -> None:
        """It is in the queue, or waits for another one that is alive."""
        entries = self.runner.run(self.worker.entries())
        for run_id, model in self.models.items():
            if model.status is PENDING:
                record = self.runner.run(self.store.get(run_id))
                assert record is not None
                assert run_id in entries or record.waiting
                assert self.ordered(run_id) or not record.waiting


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
    explore(InMemoryDb(table), examples=12)


def test_sqlite_keeps_the_promises_in_any_order(sqlite_db: SqliteDb) -> None:
    explore(sqlite_db, examples=6)


def test_postgres_keeps_the_promises_in_any_order(postgres_db: PostgresDb) -> None:
    explore(postgres_db, examples=10)
