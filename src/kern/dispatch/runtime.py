"""A database in use on an event loop: runs are submitted, executed, stopped and awaited here."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from msgspec.structs import replace

from kern.aio.guard import guard
from kern.aio.tasks import Tasks, outlived
from kern.db.base import Store
from kern.db.values import Kind, Signal
from kern.dispatch.answer import Answer, check_agent
from kern.dispatch.background import Background, output_of
from kern.dispatch.cancelling import Cancelling
from kern.dispatch.children import StoredChildren
from kern.dispatch.definitions import Definitions
from kern.dispatch.duties import FAREWELL, Duties
from kern.dispatch.foreground import Foreground
from kern.dispatch.heart import Pulse
from kern.dispatch.here import Here
from kern.dispatch.owners import new_executor
from kern.dispatch.settings import Settings
from kern.dispatch.shutdown import on_terminate
from kern.dispatch.signals import Subscriptions
from kern.dispatch.slots import Slots
from kern.dispatch.submission import SessionPolicy, Submission
from kern.dispatch.upkeep import Upkeep
from kern.dispatch.waiting import Until, Waiting
from kern.dispatch.worker import Worker
from kern.errors import RunConflictError
from kern.execution.child import with_sub_agents
from kern.execution.executor import Executor, Stop
from kern.execution.journal import Emit
from kern.execution.observing import everywhere, traced
from kern.execution.spec import Definition, Spec
from kern.models.base import Model
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.event import RunOutputEvent
from kern.run.input import with_options
from kern.run.record import NewRun, RunRecord


class Runtime:
    """What one event loop does with one database.

    Attributes:
        store: the database, open for the event loop.
        settings: how the process takes part.
        slots: how many background runs execute here at once.
        children: what carries out the runs that tool calls of others are.
    """

    def __init__(
        self, store: Store, settings: Settings, owner: Callable[[], object] = lambda: None
    ) -> None:
        """Use ``store``; nothing is started before it is needed.

        Args:
            store: the database, open for the running event loop.
            settings: how this process takes part.
            owner: returns what keeps the store open; it is held while runs are in hand.
        """
        self.store = store
        self.settings = settings
        self._name = new_executor()
        self._owner = owner
        self._tasks = Tasks()
        self._definitions = Definitions()
        self.slots = Slots(settings.slots)
        self._subscriptions = Subscriptions(store, self._on_signal)
        self._executor = Executor(settings.unserved_timeout, self._subscriptions.notify)
        here = Here(
            store,
            self._name,
            settings,
            self.slots,
            self._definitions,
            self._subscriptions,
            self._tasks,
            owner,
        )
        self._cancelling = Cancelling(here, self._executor)
        self._upkeep = Upkeep(here, self._executor)
        self._submission = Submission(store, self._cancelling.cancel, self._executor)
        self._foreground = Foreground(here, self._submission, self._executor)
        self._waiting = Waiting(here, self._executor)
        self._worker = Worker(here, self._executor)
        self._background = Background(here, self._submission, self._worker, self._foreground)
        self.children = self._executor.children = StoredChildren(self, self._background)
        self._duties = Duties(here, self._submission, self._upkeep)

    def pulse(self) -> Pulse:
        """Return what a heart needs to extend the leases of what executes here."""
        return Pulse(
            lambda: self._executor.attempts,
            self._on_beat,
            self.settings.heartbeat,
            self.settings.max_loop_block,
        )

    def serve(self, definition: Definition) -> None:
        """Execute every background run of this agent here from now on, by this definition."""
        for each in with_sub_agents(definition):
            self._definitions.serve(each)
        self._start()

    def use(self, definition: Definition) -> None:
        """Know of a definition in use here, and execute what it may, if this process does that."""
        if self.settings.in_process_worker and self._definitions.see(definition):
            for each in with_sub_agents(definition)[1:]:
                self._definitions.see(each)
            self._start()

    async def reach(self, on_reach: Callable[[bool], None]) -> None:
        """Wait until the database is listened to; from then on report whether it answers.

        It is asked several times a heartbeat, and when notifications stop.

        Raises:
            DatabaseUnavailableError: it cannot be reached.
        """
        await self._subscriptions.listen()
        self._upkeep.on_reach = on_reach

    async def stop(self, grace: float) -> None:
        """Execute nothing new, and release what has not ended after ``grace`` seconds."""
        await asyncio.gather(self._worker.stop(grace), self._duties.sender.stop(grace))
        await outlived(max(grace, FAREWELL))
        await self._duties.end()

    async def end_foreground(self, grace: float) -> None:
        """Have foreground runs end in ERROR that do not end within ``grace`` seconds."""
        await self._executor.end_foreground(grace)

    async def submit(
        self,
        definition: Definition,
        run: NewRun,
        policy: SessionPolicy = "queue",
        connection: object | None = None,
    ) -> RunOutput:
        """Accept a background run; it begins here at once if there is a slot.

        Args:
            definition: the agent.
            run: the run.
            policy: what becomes of it where its session has another one.
            connection: a caller's own, in whose transaction the run is accepted.

        Returns:
            The run, PENDING, or CANCELLED where it was cancelled before; or as it stands where
            the same run was submitted before.

        Raises:
            RunConflictError: the run id is in use for something else.
            SessionBusyError: the session has another run, and the policy is to reject.
            QueueFullError: too many runs wait.
            DatabaseError: the run was not accepted.
        """
        self.use(definition)
        if everywhere or definition.middleware:
            run = traced(run, definition.middleware)
        submit = partial(self._background.submit, definition, policy=policy, connection=connection)
        return await self._submission.placed(run, submit, connection)

    async def execute(
        self,
        definition: Definition,
        run: NewRun,
        emit: Emit | None,
        dependencies: Mapping[str, object] | None = None,
    ) -> RunOutput:
        """Accept a run and execute it here and now, for a caller who waits for it.

        Args:
            definition: the agent.
            run: the run.
            emit: called with each event, where the caller streams the run.
            dependencies: the run's own, over the agent's.

        Returns:
            The run as it ended.

        Raises:
            RunConflictError: the run id is in use for something else.
            DatabaseError: the run was not accepted, or its end not stored.
            Exception: what the run failed of; it is settled as ERROR by then.
        """
        await self._subscriptions.listen()
        spec = Spec.of(definition, dependencies)
        if spec.middleware:
            run = traced(run, spec.middleware)
        run = replace(run, lease=self.settings.heartbeat, executor=self._name, foreground=True)
        record = await self._submission.placed(run, self._foreground.accept)
        return await self._carried_out(record, spec, emit)

    async def _carried_out(
        self, record: RunRecord, spec: Spec, emit: Emit | None, told: int | None = None
    ) -> RunOutput:
        """Execute a run that is this executor's, or wait for it; return it as it ended."""
        if is_own := self._background.owns(record):
            try:
                output = await self._foreground.execute(record, spec, emit, told)
            finally:
                self._subscriptions.notify(record.run_id)
            if output.is_terminal or output.status is RunStatus.paused:
                return output
        if not record.status.is_terminal:
            ended = await self.wait(record.run_id, None, "end" if told is None else "pause")
            if ended is not None:
                return ended
            if not is_own:
                raise RunConflictError(
                    f"run_id {record.run_id!r} is in use for a run that has ended meanwhile, and "
                    "is erased. Choose a new one."
                )
            # Its lease has expired, or somebody has erased it.
            return output_of(spec, replace(record, status=RunStatus.cancelled))
        return output_of(spec, record)

    async def retry(
        self, run_id: str, definition: Definition | None = None, user_id: str | None = None
    ) -> RunOutput:
        """Have a run that ended in ERROR go on in the background.

        Args:
            run_id: the run, as the user calls it.
            definition: the agent, where it is known.
            user_id: the user whose run it must be; None for any.

        Returns:
            The run, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            InvalidInputError: it is another agent's.
            RunStateError: it is not in ERROR.
        """
        record = await self._submission.found(run_id, user_id)
        if definition is not None:
            check_agent(record, definition)
        if record.status is not RunStatus.error:
            await self.refuse(record, Answer(), RunStatus.error)
        return await self.resume(record, Answer(), definition)

    async def resume(
        self, record: RunRecord, answer: Answer, definition: Definition | None = None
    ) -> RunOutput:
        """Have a run go on; see :meth:`kern.dispatch.submission.Submission.resume`."""
        accept = partial(self._submission.resume, record, answer)
        if definition is None:
            return RunOutput.from_record(await accept())
        self.use(definition)
        resumed = await self._background.pinned(definition, record.run_id, accept)
        return output_of(definition, resumed)

    async def resume_here(
        self,
        definition: Definition,
        record: RunRecord,
        answer: Answer,
        emit: Emit | None,
        *,
        told: int = 0,
        dependencies: Mapping[str, object] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> RunOutput:
        """Have a run go on here and now, for a caller who waits for it.

        Args:
            definition: the agent.
            record: the run, with its input.
            answer: what it is given to go on with.
            emit: called with each event, where the caller streams the run.
            told: the number of the last event that the caller has.
            dependencies: what is given to it from here on, over the agent's.
            options: likewise, by the name of an option of runs.

        Returns:
            The run as it ended, or paused again.

        Raises:
            RunStateError: it stands otherwise by now, or does not wait for these.
            DatabaseError: it could not be resumed, or its end not stored.
            Exception: what the run failed of; it is settled as ERROR by then.
        """
        await self._subscriptions.listen()
        spec = Spec.of(definition, dependencies)
        given = with_options(record.input or "", options) if options else record.input
        lease = self.settings.heartbeat
        resumed = await self._foreground.resume(record, answer, self._name, lease)
        if resumed.status is RunStatus.pending:  # Another run of its session is first.
            self.use(definition)
            if self._worker.takes_runs:
                self._definitions.pin(record.run_id, spec, self._owner())
        return await self._carried_out(replace(resumed, input=given), spec, emit, told)

    async def refuse(
        self, record: RunRecord, answer: Answer, wanted: RunStatus = RunStatus.paused
    ) -> NoReturn:
        """Say that a run cannot go on; see :meth:`kern.dispatch.submission.Submission.refuse`."""
        await self._submission.refuse(record, answer, wanted)

    async def cancel(
        self, run_id: str, models: Sequence[Model] = (), user_id: str | None = None
    ) -> bool:
        """Cancel a run; see :meth:`kern.dispatch.cancelling.Cancelling.cancel`."""
        return await self._cancelling.cancel(run_id, models, user_id)

    async def erase(
        self, run_id: str, models: Sequence[Model] = (), user_id: str | None = None
    ) -> bool:
        """Erase a run; see :meth:`kern.dispatch.cancelling.Cancelling.erase`."""
        return await self._cancelling.erase(run_id, models, user_id)

    def wait(
        self,
        run_id: str,
        timeout: float | None,
        until: Until = "pause",
        user_id: str | None = None,
    ) -> Awaitable[RunOutput | None]:
        """Wait for a run; see :meth:`kern.dispatch.waiting.Waiting.wait`."""
        return self._waiting.wait(run_id, timeout, until, user_id)

    def stream(
        self, run_id: str, after: int, user_id: str | None = None, *, nested: bool = False
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield a run's events; see :meth:`kern.dispatch.waiting.Waiting.stream`."""
        return self._waiting.stream(run_id, after, user_id, nested=nested)

    def _start(self) -> None:
        """Begin to execute background runs, with the duties that go with it."""
        self._worker.start()
        if self._worker.takes_runs and not self._duties.are_done:
            guard()
            on_terminate(self._release)
            self._duties.begin()

    async def _release(self) -> None:
        """Release the runs in flight, and let the hooks of those that have ended end, too."""
        await self._worker.release_all()
        await outlived(FAREWELL)

    def _on_beat(self, attempts: list[tuple[str, int]], mine: dict[str, bool]) -> None:
        """Stop what belongs to a later attempt or is to be cancelled, though no signal said so."""
        for run_id, attempt in attempts:
            if run_id not in mine:
                self._executor.stop(run_id, Stop.stale, attempt)
            elif mine[run_id]:
                self._executor.stop(run_id)

    def _on_signal(self, signal: Signal) -> None:
        match signal.kind:
            case Kind.cancel | Kind.read:
                self._executor.on_signal(signal.run_id, signal.kind)
            case Kind.changed:
                self._subscriptions.notify(signal.run_id)
            case Kind.schedule:
                self._duties.scheduler.wake()
            case Kind.webhook:
                self._duties.sender.wake()
            case Kind.away:
                # Perhaps only notifications stay away, as behind a pooler.
                self._tasks.start(self._upkeep.ping())
            case Kind.resync:
                self._upkeep.on_reach(True)
                self._duties.scheduler.wake()
                self._duties.sender.wake()
                self._worker.wake()
                self._tasks.start(self._upkeep.resync())
