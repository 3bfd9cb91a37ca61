"""Children: the runs that tool calls of other runs are, each begun once and waited for."""

import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Protocol

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.dispatch.alone import continue_alone, execute_alone
from kern.dispatch.answer import Answer
from kern.dispatch.background import Background
from kern.dispatch.owners import is_gone
from kern.dispatch.resuming import time_for
from kern.dispatch.submission import SessionPolicy
from kern.dispatch.waiting import Until
from kern.errors import NewerJournalError, RunConflictError, RunNotFoundError, RunStateError
from kern.execution.child import Child
from kern.execution.child_calls import kept_child, own_answers
from kern.execution.journal import Emit
from kern.execution.spec import Definition
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.fold import fold
from kern.run.record import NewRun, RunRecord


class Runs(Protocol):
    """What children need of a database in use; see :class:`kern.dispatch.runtime.Runtime`."""

    store: Store

    def use(self, definition: Definition) -> None:
        """Know of a definition in use here."""

    async def submit(self, definition: Definition, run: NewRun, policy: SessionPolicy) -> RunOutput:
        """Accept a background run."""

    async def execute(self, definition: Definition, run: NewRun, emit: Emit | None) -> RunOutput:
        """Accept a run and execute it here and now."""

    async def resume(
        self, record: RunRecord, answer: Answer, definition: Definition | None = None
    ) -> RunOutput:
        """Have a run go on in the background."""

    async def resume_here(
        self,
        definition: Definition,
        record: RunRecord,
        answer: Answer,
        emit: Emit | None,
        *,
        told: int = 0,
    ) -> RunOutput:
        """Have a run go on here and now."""

    def wait(self, run_id: str, timeout: float | None, until: Until) -> Awaitable[RunOutput | None]:
        """Wait for a run."""

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run."""


class StoredChildren:
    """Carries out children that are kept in a database."""

    def __init__(self, runs: Runs, background: Background) -> None:
        """Prepare.

        Args:
            runs: the database in use.
            background: what pins a run that waits here to its definition.
        """
        self._runs = runs
        self._background = background

    async def carry(self, child: Child) -> RunOutput:
        """See :class:`kern.execution.child.Children`."""
        record = await self._known(child) if child.may_exist else None
        if record is None:
            try:
                return await self._begin(child)
            except RunConflictError:  # It was begun with another state of the session.
                if (record := await self._known(child)) is None:
                    raise
        return await self._go_on(child, record)

    async def start(self, child: Child, parent: Definition) -> RunOutput:
        """See :class:`kern.execution.child.Children`."""
        self._runs.use(parent)
        record = await self._known(child) if child.may_exist else None
        if record is None:
            return await self._submitted(child)
        if not record.status.is_terminal:
            await self._pin(child)
        return RunOutput.from_record(record)

    async def wait(self, run_id: str, seconds: float) -> None:
        """See :class:`kern.execution.child.Children`."""
        with suppress(TimeoutError):
            await self._runs.wait(run_id, seconds, "pause")

    async def cancel(self, run_id: str) -> bool:
        """See :class:`kern.execution.child.Children`."""
        return await self._runs.cancel(run_id)

    async def _known(self, child: Child) -> RunRecord | None:
        get = partial(self._runs.store.get, child.run.run_id, with_input=True)
        return await until_available(get)

    async def _begin(self, child: Child) -> RunOutput:
        if child.foreground:
            return await _ended(self._runs.execute(child.definition, child.run, child.emit))
        await self._submitted(child)
        return await self._wait(child)

    async def _submitted(self, child: Child) -> RunOutput:
        submit = partial(self._runs.submit, child.definition, child.run, "parallel")
        return await until_available(submit)

    async def _go_on(self, child: Child, record: RunRecord) -> RunOutput:
        """Return a child that an earlier attempt at the call has begun, once it rests."""
        output = RunOutput.from_record(record)
        if output.is_terminal:
            return output
        if output.is_paused:
            ask = partial(time_for, self._runs.store, output.requirements)
            answers = own_answers(output, child.answers, await until_available(ask))
            if answers is None:
                return output
            output = await self._answer(child, record, Answer(answers, by=child.by))
        elif child.foreground and (output.status is RunStatus.pending or is_gone(record.executor)):
            output = await self._answer(child, record, Answer())  # Its caller was lost.
        else:
            output = await self._follow(child)
        output.input_json = output.input_json or record.input
        return output

    async def _answer(self, child: Child, record: RunRecord, answer: Answer) -> RunOutput:
        """Have a paused child go on, and return it once it rests."""
        runs, definition = self._runs, child.definition
        try:
            if child.foreground:
                told = 0 if child.emit is None else await self._told(record.run_id)
                going_on = runs.resume_here(definition, record, answer, child.emit, told=told)
                with suppress(NewerJournalError):  # Who has written it has to go on with it.
                    return await _ended(going_on)
            await until_available(partial(runs.resume, record, answer, definition))
        except RunStateError:
            now = await self._known(child)
            if now is None or (now.status, now.attempt) == (record.status, record.attempt):
                raise
            return await self._go_on(child, now)  # Somebody else was first.
        return await self._wait(child)

    async def _told(self, run_id: str) -> int:
        """Return the number of the last event until now: who reads the parent has it."""
        rows = await until_available(partial(self._runs.store.events, run_id, 0))
        return fold(rows).next_event - 1

    async def _follow(self, child: Child) -> RunOutput:
        """Have a child go on that waits or is lost, here if nowhere else, and wait for it."""
        await self._pin(child)
        return await self._wait(child)

    async def _pin(self, child: Child) -> None:
        self._runs.use(child.definition)
        get = partial(self._known, child)
        await self._background.pinned(child.definition, child.run.run_id, get)

    async def _wait(self, child: Child) -> RunOutput:
        run_id = child.run.run_id
        output = await self._runs.wait(run_id, None, "pause")
        if output is None:
            raise RunNotFoundError(f"The run {run_id}, which a tool call waits for, was deleted.")
        return output


class UnstoredChildren:
    """Carries out children that are kept nowhere."""

    async def carry(self, child: Child) -> RunOutput:
        """See :class:`kern.execution.child.Children`."""
        definition, paused = child.definition, kept_child(child.answers)
        if paused is None:
            return await _ended(execute_alone(definition, child.run, child.emit))
        answers = own_answers(paused, child.answers, time.time()) or []
        going_on = continue_alone(definition, paused, answers, {}, child.emit, by=child.by)
        return await _ended(going_on)

    async def start(self, child: Child, parent: Definition) -> RunOutput:
        """See :class:`kern.execution.child.Children`."""
        raise AssertionError("what is kept nowhere is no run in the background")

    async def wait(self, run_id: str, seconds: float) -> None:
        """See :class:`kern.execution.child.Children`."""

    async def cancel(self, run_id: str) -> bool:
        """See :class:`kern.execution.child.Children`."""
        return False


async def _ended(execution: Awaitable[RunOutput]) -> RunOutput:
    """Return a run as it ended, also where it failed."""
    try:
        return await execution
    except Exception as error:
        output: RunOutput | None = getattr(error, "run_output", None)
        if output is None:
            raise
        return output
