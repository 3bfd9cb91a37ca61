"""Runs that exist, as what a caller asks an agent for: they go on here, by themselves, or not."""

from collections.abc import Mapping
from typing import Any, Self, cast

import msgspec
from typing_extensions import override

from kern.agent.definition import runtime_of
from kern.agent.work import Work
from kern.dispatch.alone import continue_alone
from kern.dispatch.answer import Answer
from kern.dispatch.background import output_of
from kern.dispatch.owners import is_gone
from kern.errors import InvalidInputError, RunStateError
from kern.execution.journal import Emit
from kern.run.agent import RunOutput
from kern.run.answers import of_tools
from kern.run.base import RunStatus
from kern.run.input import with_options
from kern.run.record import RunRecord


class Standing(Work, frozen=True, kw_only=True):
    """A run that needs nobody to go on: it has ended, or goes on by itself.

    Attributes:
        record: the run.
        answer: what it was given to go on with.
        options: what it is given beside its messages from here on, by the name of the option.
    """

    record: RunRecord
    answer: Answer
    options: Mapping[str, object] = {}

    def checked(self) -> Self:
        """Return it, if what was given can be used.

        Raises:
            InvalidInputError: some is for the foreground only.
        """
        if self.background:
            here = {"dependencies": self.dependencies, **self.options}
            if unused := [name for name, value in here.items() if value is not None]:
                raise InvalidInputError(
                    f"{', '.join(unused)}: only with background=False; in the background the run "
                    "goes on with what it was given when it began."
                )
        return self

    @override
    async def submit(self) -> RunOutput:
        if self.answer.decides or self.answer.messages:
            await (await runtime_of(self.agent)).refuse(self.record, self.answer)
        return output_of(cast("Any", self.agent), self.record)

    @override
    async def executed(self, emit: Emit | None) -> RunOutput:
        output = await self.submit()
        if output.is_terminal:
            return output
        runtime, run_id = await runtime_of(self.agent), self.record.run_id
        heartbeat = runtime.settings.heartbeat
        while True:
            try:
                return await runtime.wait(run_id, heartbeat) or output
            except TimeoutError:  # Its process may be gone by now, and here may nobody else sweep.
                await runtime.store.sweep(heartbeat)
            record = await runtime.store.get(run_id, with_input=True)
            if record is not None and stands_still(record):
                lost = {**msgspec.structs.asdict(self), "record": record}
                return await Resumption(**lost).executed(emit)


def stands_still(record: RunRecord) -> bool:
    """Say whether a run goes on only if somebody has it go on.

    One that belongs to a caller whose process is gone need not wait until its lease has expired,
    or for a worker.
    """
    match record.status:
        case RunStatus.paused | RunStatus.error:
            return True
        case RunStatus.running:
            return is_gone(record.executor)
        case RunStatus.pending:
            return record.foreground
    return False


class Resumption(Standing, frozen=True, kw_only=True):
    """A run that stands still, and goes on from its journal."""

    @override
    async def submit(self) -> RunOutput:
        runtime = await runtime_of(self.agent)
        return await runtime.resume(self.record, self.answer, self.agent)

    @override
    async def executed(self, emit: Emit | None) -> RunOutput:
        runtime = await runtime_of(self.agent)
        return await runtime.resume_here(
            self.agent,
            self.record,
            self.answer,
            emit,
            told=self.told,
            dependencies=self.dependencies,
            options=self.options,
        )


class Alone(Work, frozen=True, kw_only=True):
    """A run that is kept nowhere, and goes on from its output.

    Attributes:
        output: the run.
        answer: what it is given to go on with.
        options: what it is given beside its messages from here on, by the name of the option.
    """

    output: RunOutput[Any]
    answer: Answer
    options: Mapping[str, object] = {}

    @override
    async def submit(self) -> RunOutput:
        raise AssertionError("there is no background without a database")

    @override
    async def executed(self, emit: Emit | None) -> RunOutput:
        output, answer = self.output, self.answer
        if not output.is_paused:
            if output.status is not RunStatus.completed or answer.decides or answer.messages:
                raise RunStateError(f"Run {output.run_id} is {output.status}, not PAUSED.")
            return output
        requirements = answer.requirements
        if answer.tools is not None:
            requirements = of_tools(output.requirements, answer.tools)
        if self.options and output.kept is not None:
            given = with_options(output.kept.input, self.options)
            output.kept = msgspec.structs.replace(output.kept, input=given)
        return await continue_alone(
            self.agent,
            output,
            requirements,
            answer.results,
            emit,
            by=answer.by,
            messages=answer.messages,
            dependencies=self.dependencies,
        )
