"""What a caller has asked an agent for: a new run, or that one goes on; and how it is done."""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Self

import msgspec

from kern.agent.definition import AnyAgent, runtime_of
from kern.agent.typed import typed
from kern.errors import RunNotFoundError
from kern.execution.journal import Emit
from kern.failures import failure, with_output
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.base import RunStatus


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller has asked for, checked and complete; nobody has begun it yet.

    Attributes:
        agent: who is to do it.
        background: whether the caller does not wait for it.
        form: what its answer has to be, by itself or by its agent.
        every_event: whether its stream yields every event.
        yield_run_output: whether its stream ends with the run itself.
        raise_on_error: whether what it fails of in the foreground is raised.
        dependencies: its own, in the foreground.
        told: the number of the last event that its caller has.
    """

    agent: AnyAgent
    background: bool = False
    form: Form | None = None
    every_event: bool = False
    yield_run_output: bool = False
    raise_on_error: bool = True
    dependencies: Mapping[str, object] | None = None
    told: int = 0

    @abstractmethod
    async def submit(self) -> RunOutput:
        """Have it done in the background, and return the run as it was accepted."""

    @abstractmethod
    async def executed(self, emit: Emit | None) -> RunOutput:
        """Do it here and now, and return the run as it ended.

        Args:
            emit: is given its events, as they happen.

        Raises:
            Exception: what the run fails of.
        """

    def to_be_read(self) -> Self:
        """Return it as it is where its events are read from the beginning on."""
        return self

    def continued(self) -> Self:
        """Return the work in the conversation of the code that asks for it, if that has one."""
        return self

    async def execute(self) -> RunOutput:
        """Do it here and now, and return the run as it ended.

        Raises:
            Exception: what the run failed of, which has it as ``run_output``; it is returned
                instead where it was asked not to raise.
        """
        output = await self.carried_out()
        if output.status is RunStatus.error and self.raise_on_error:  # It had failed before.
            error = failure(output.error_kind, output.error or "", output.error_details)
            raise with_output(error, output)
        return output

    async def carried_out(self, emit: Emit | None = None) -> RunOutput:
        """Do it here and now, and return the run as it ended, also where it had failed before.

        Args:
            emit: is given its events, as they happen.

        Raises:
            Exception: what the run fails of now, if that is asked for.
        """
        agent = self.agent
        try:
            output = await self.executed(emit)
        except Exception as error:
            failed: RunOutput | None = getattr(error, "run_output", None)
            if self.raise_on_error or failed is None:
                raise
            output = failed
            if output.content is None:
                output.content, output.content_type = output.error, "str"
        if agent.store_events and agent.db is not None:
            await keep_events(agent, output)
        return output if output.content_type == "str" else typed(output, agent.answering)


async def keep_events(agent: AnyAgent, output: RunOutput) -> None:
    """Have a run that has ended hold its events, but for those that its agent leaves out."""
    rules = agent.session_rules
    if rules is None or not rules.stores_events or not output.is_terminal:
        return
    runtime = await runtime_of(agent)
    # One that is erased holds what its caller was told, or nothing.
    with suppress(RunNotFoundError):
        async with aclosing(runtime.stream(output.run_id, 0)) as events:
            output.events = [each async for each in events if each.event not in rules.skipped]
