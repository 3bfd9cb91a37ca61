"""The worker of an event loop: claims runs that are due, and has them executed."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial

from kern.aio.retry import until_available
from kern.aio.survived import survived
from kern.db.queue import Entry
from kern.db.values import Claim
from kern.dispatch.here import Here
from kern.errors import DatabaseError, DatabaseUnavailableError, NewerJournalError
from kern.execution.attempt import Attempt
from kern.execution.executor import Executor
from kern.execution.from_record import attempt_of
from kern.execution.nesting import OpenCalls
from kern.execution.observing import everywhere
from kern.execution.spec import Spec
from kern.run import steps
from kern.run.base import RunStatus
from kern.run.record import RunRecord

logger = logging.getLogger("kern")

# How many entries are taken out of the queue at a time.
_BATCH = 100

# How long the queue is left alone before it is asked when its next entry is due, in seconds.
_SOON = 0.02

# How long the end waits for the runs in flight to be released, in seconds.
_RELEASE_TIME = 10.0


class Worker:
    """Executes background runs in the slots of one event loop."""

    def __init__(self, here: Here, executor: Executor) -> None:
        """Execute nothing yet.

        Args:
            here: what the parts of the runtime share.
            executor: what executes runs.
        """
        self._store = here.store
        self._executor = executor
        self._definitions = here.definitions
        self._slots = here.slots
        self._subscriptions = here.subscriptions
        self._tasks = here.tasks
        self._name = here.name
        self._heartbeat = here.settings.heartbeat
        self._owner = here.owner
        self._in_hand: set[str] = set()
        self._early: dict[str, Entry] = {}
        self._working: dict[asyncio.Task[None], tuple[str, object]] = {}
        self._has_backlog = False
        # A slot that is free again is as good a reason to look into the queue as a due run.
        self._due = here.slots.freed
        self._consuming: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def takes_runs(self) -> bool:
        """Whether runs may begin here."""
        return self._consuming is not None and not self._stopping

    def start(self) -> None:
        """Take runs from the queue from now on."""
        if self._consuming is None:
            self._consuming = self._tasks.start(self._consume())
        self.wake()

    def wake(self) -> None:
        """Look for due runs."""
        self._due.set()

    def has_slot(self, is_child: bool) -> bool:
        """Say whether a run that is accepted here may begin at once.

        Where others wait in the queue for the slots that there are, they come first.
        """
        if self._slots.free == 0:
            self._has_backlog = True
        if self._stopping or self._has_backlog:
            return False
        return is_child or not self._slots.children_only

    def executes(self, run_id: str) -> bool:
        """Say whether a run executes here, or is just about to."""
        return run_id in self._in_hand or self._executor.attempt(run_id) is not None

    def begin(self, record: RunRecord, spec: Spec) -> None:
        """Execute a run that was accepted RUNNING for this executor, in a slot that it has."""
        attempt = self._attempt(record, spec, is_pinned=True)
        self._start(record.run_id, self._execute(attempt, record))

    async def stop(self, grace: float) -> None:
        """Take nothing new, and release what has not ended after a time.

        Args:
            grace: how long the runs in flight are given, in seconds.
        """
        self._stopping = True
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._executor.idle()
        await self.release_all()

    async def release_all(self) -> None:
        """Take nothing new, and release the runs in flight for others."""
        self._stopping = True
        if self._consuming is not None:
            self._consuming.cancel()
            await asyncio.wait({self._consuming}, timeout=_RELEASE_TIME)
        with suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_TIME):
                while working := set(self._working):
                    await self._executor.release_all()
                    await asyncio.wait(working, timeout=0.1)

    async def _listen(self) -> None:
        """Be woken for what is due; until that works, the queue is looked at all the same."""
        await until_available(lambda: self._store.queue.listen(self.wake))
        self.wake()

    async def _consume(self) -> None:
        self._tasks.start(self._listen())
        while not self._stopping:
            self._due.clear()
            try:
                # Under load there is more to take before it matters what is due later.
                if not await self._dequeue() and not await self._wait(_SOON):
                    await self._wait(await self._until_due())
            except DatabaseUnavailableError as error:
                logger.debug("the queue is unavailable: %s", error)
                await self._wait(1.0)
            except DatabaseError as error:
                survived(logger, error, "the queue could not be read")
                await self._wait(self._heartbeat)

    async def _dequeue(self) -> bool:
        """Take due entries for the free slots; say whether there may be more of them."""
        agent_ids = self._definitions.agent_ids
        limit, children_only = self._slots.free, self._slots.children_only
        if limit == 0 and self._slots.full_for() >= self._heartbeat:
            # They may all be held by parents that wait for their children without saying so.
            limit, children_only = 1, True
        if not agent_ids or limit == 0:
            return False
        limit = min(limit, _BATCH)
        entries = await self._store.queue.dequeue(agent_ids, limit, children_only=children_only)
        if len(entries) < limit and self._slots.free > 0:
            self._has_backlog = False
        fresh = []
        for entry in entries:
            if entry.run_id in self._in_hand:
                # Perhaps it was made due as its attempt here came to its end: a pause, say.
                self._early[entry.run_id] = entry
            elif self.executes(entry.run_id):
                self._tasks.start(self._put_back_once_left(entry))
            else:
                fresh.append(entry)
        for entry in fresh:
            self._slots.take()
            self._start(entry.run_id, self._take(entry))
        return len(entries) == limit and bool(fresh)

    async def _until_due(self) -> float:
        """Return for how many seconds there is nothing to do, unless a notification comes."""
        if self._slots.free == 0:
            left = self._heartbeat - self._slots.full_for()
            return max(0.01, left) if left > 0 else self._heartbeat
        agent_ids = self._definitions.agent_ids
        due = await self._store.queue.next_due(agent_ids) if agent_ids else None
        # What a lost process has taken out of the queue is due again without a notification.
        longest = self._heartbeat / 3
        if not self._subscriptions.is_notified:
            longest = min(1.0, longest)
        return longest if due is None else min(max(due, 0.01), longest)

    async def _wait(self, seconds: float) -> bool:
        """Wait until something is due, or a slot is free where none was; say whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()
        return self._due.is_set()

    def _start(self, run_id: str, work: Coroutine[object, object, None]) -> None:
        self._in_hand.add(run_id)
        task = self._tasks.start(work)
        self._working[task] = run_id, self._owner()
        # Not a `finally`: a task that is cancelled before its first step runs none.
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        run_id, _ = self._working.pop(task)
        self._in_hand.discard(run_id)
        self._slots.give_back()
        if (entry := self._early.pop(run_id, None)) is not None:
            self._tasks.start(self._put_back(entry))

    async def _take(self, entry: Entry) -> None:
        """Claim the run of an entry, acknowledge it, and execute the run."""
        if self._stopping or not self._definitions.may_execute(entry.run_id, entry.agent_id):
            return await self._leave(entry)
        try:
            found = await self._claim(entry.run_id, entry.agent_id)
        except NewerJournalError as error:
            logger.debug("%s", error)
            # More of its runs are likely to be of that kind: newer workers get them sooner alone.
            self._definitions.pause(entry.agent_id, self._heartbeat)
            return await self._leave(entry)
        except asyncio.CancelledError:
            await self._give_up(entry)
            raise
        await until_available(lambda: self._store.queue.acknowledge(entry))
        if found is None:
            return
        if found.status is not RunStatus.running:
            for each in everywhere:
                each.ended(found)
            self._definitions.unpin(found.run_id)
            self._subscriptions.notify(found.run_id)
            return
        definition = self._definitions.find(found.run_id, found.agent_id)
        if definition is None or self._stopping:  # That came while it was being claimed.
            await until_available(lambda: self._store.release(found.run_id, found.attempt))
            return
        for each in everywhere:
            each.claimed(found)
        spec, is_pinned = definition
        await self._execute(self._attempt(found, spec, is_pinned=is_pinned), found)

    async def _put_back(self, entry: Entry) -> None:
        """Have an entry delivered once more."""
        await until_available(lambda: self._store.queue.put_back(entry, 0.0))
        self.wake()

    async def _put_back_once_left(self, entry: Entry) -> None:
        """Have the entry of a run that executes for its caller, and is stale, wait for its end."""
        await self._executor.left(entry.run_id)
        await self._put_back(entry)

    async def _leave(self, entry: Entry) -> None:
        """Put an entry back for others, and look again after a while whether they took it."""
        delay = 0.0 if self._stopping else self._definitions.leave(entry.run_id)
        await until_available(lambda: self._store.queue.put_back(entry, delay))
        asyncio.get_running_loop().call_later(delay, self.wake)

    async def _give_up(self, entry: Entry) -> None:
        """Leave a run to others whose claim was interrupted by the end of the event loop."""
        with suppress(DatabaseUnavailableError):
            held = await self._store.held(entry.run_id, self._name)
            if held is not None:
                await self._store.release(entry.run_id, held.attempt)
            await self._store.queue.put_back(entry, 0.0)

    async def _claim(self, run_id: str, agent_id: str) -> RunRecord | None:
        limits = self._definitions.limits(agent_id)
        claim = Claim(self._name, self._heartbeat, *limits, journal_version=steps.VERSION)
        unanswered = False
        while True:
            try:
                record = await self._store.claim(run_id, claim)
                if record is None and unanswered:
                    return await self._store.held(run_id, self._name)
                return record
            except DatabaseUnavailableError as error:
                unanswered = True
                logger.debug("claiming run %s again: %s", run_id, error)
                await asyncio.sleep(0.2)

    async def _execute(self, attempt: Attempt, record: RunRecord) -> None:
        """Execute a claimed run, and see to what follows from its end."""
        # Those who wait for it here need not ask the database for its end.
        self._subscriptions.notify(record.run_id)
        try:
            await self._executor.execute(attempt)
        except DatabaseError as error:  # Its lease expires, and another attempt goes on.
            survived(logger, error, "the end of run %s could not be stored", record.run_id)
        finally:
            # Those who wait here have not asked to be notified by others, who may go on with it.
            self._subscriptions.notify(record.run_id)
        if attempt.is_pinned and attempt.postponed is not None:
            self._definitions.pin(record.run_id, attempt.spec)
            self.wake()  # What was notified of before it was pinned has been left to others.
        spec, status = attempt.spec, attempt.output.status
        if attempt.refusal is not None:
            self._definitions.pause(record.agent_id)
        elif status is RunStatus.completed:
            self._definitions.proved(record.agent_id)
        elif status is RunStatus.paused and attempt.is_pinned:
            self._definitions.rest(record.run_id, spec)
        if spec.agent_limit is not None or spec.user_limit is not None:
            await self._make_due(spec, record)

    async def _make_due(self, spec: Spec, record: RunRecord) -> None:
        """Make due what waits for a limit in which there is room now."""
        claim = Claim(self._name, self._heartbeat, spec.agent_limit, spec.user_limit)
        with suppress(DatabaseUnavailableError):  # The sweep will do it.
            await self._store.make_due(record.agent_id, record.user_id, claim)

    def _attempt(self, record: RunRecord, spec: Spec, *, is_pinned: bool) -> Attempt:
        attempt = attempt_of(record, spec, self._store, is_pinned=is_pinned)
        if spec.tools or spec.toolsets:
            attempt.calls = OpenCalls(_Yield(self, spec, record).on_change)
        return attempt


class _Yield:
    """Gives the slots of a run back while all its calls wait for other runs."""

    # Not the attempt, which has this: a cycle of all that a run holds is garbage for long.
    def __init__(self, worker: Worker, spec: Spec, record: RunRecord) -> None:
        self._worker = worker
        self._spec = spec
        self._record = record
        self._counted = True
        self._wanted = True
        self._storing: asyncio.Task[None] | None = None

    def on_change(self, all_wait: bool) -> None:
        self._worker._slots.set_waiting(all_wait)
        if self._spec.agent_limit is None and self._spec.user_limit is None:
            return
        self._wanted = not all_wait
        if self._storing is None or self._storing.done():
            self._storing = self._worker._tasks.start(self._store())

    async def _store(self) -> None:
        """Bring the run's row to what is wanted."""
        worker, record = self._worker, self._record
        while self._counted is not self._wanted:
            self._counted = self._wanted
            set_counted = worker._store.set_counted
            await until_available(
                partial(set_counted, record.run_id, record.attempt, self._counted)
            )
            if not self._counted:
                await worker._make_due(self._spec, record)
