"""The agent: what it is, and what can be done with it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal, overload
from uuid import uuid4

from kern.agent.portal import portal
from kern.db.base import Database
from kern.engine.attempt import Attempt
from kern.engine.executor import Executor
from kern.engine.journal import Emit, Journal
from kern.engine.runtime import Runtime
from kern.errors import ConfigurationError, InvalidInputError, RunNotFoundError
from kern.models.base import Model
from kern.run.agent import RunEvent, RunInput, RunOutput, RunOutputEvent
from kern.run.base import RunStatus, current_run
from kern.run.cancel import acancel_run, cancellations
from kern.run.codec import check_id, decode_object, encode
from kern.run.message import Message
from kern.run.record import NewRun
from kern.tools import Tool

Input = str | Message | Sequence[Message | dict[str, object]]

_ALWAYS_STREAMED = (RunEvent.run_content, RunEvent.run_cancelled)


class Agent:
    """A model with a task, and the verbs to run it.

    An agent holds no state of its runs: one object can serve any number of them at a time, in
    any number of event loops. Every verb has a synchronous twin without the leading ``a``, which
    needs no event loop.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        tools: what the model can have called, by name.
        tool_call_limit: how many calls a run may make, or None for any number.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.
    """

    def __init__(
        self,
        name: str | None = None,
        model: Model | None = None,
        *,
        id: str | None = None,
        description: str | None = None,
        instructions: str | Sequence[str] | None = None,
        tools: Sequence[Tool | Callable[..., object]] = (),
        tool_call_limit: int | None = None,
        dependencies: Mapping[str, object] | None = None,
        db: Database | None = None,
        add_history_to_context: bool = False,
        num_history_runs: int = 3,
    ) -> None:
        """Define the agent; nothing is opened or started.

        Args:
            name: what people call it.
            model: who answers; required.
            id: its identity; by default the name in lower case with dashes.
            description: who the model is to be.
            instructions: what it is to do: a text, or a list of points.
            tools: what the model can have called: functions, or what ``@tool`` made of them.
            tool_call_limit: how many tool calls a run may make; by default any number.
            dependencies: what the tools find in their context; it is stored nowhere.
            db: where sessions and runs are kept; background runs need one.
            add_history_to_context: whether the model is shown earlier runs of the session.
            num_history_runs: how many of them, the last completed ones.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        if not isinstance(model, Model):
            raise ConfigurationError(
                "An agent needs a model, such as Agent(model=OpenAIResponses(id='gpt-5-mini'))."
            )
        if num_history_runs < 0:
            raise ConfigurationError(f"num_history_runs must be 0 or more: {num_history_runs}.")
        made = [each if isinstance(each, Tool) else Tool(each) for each in tools]
        self.tools = {each.name: each for each in made}
        if len(self.tools) < len(made):
            raise ConfigurationError("Two tools have one name; give one of them another.")
        self.tool_call_limit = tool_call_limit
        self.dependencies = dict(dependencies or {})
        self.name = name or "Agent"
        self.model = model
        self.db = db
        self.description = description
        self.instructions = instructions
        self.add_history_to_context = add_history_to_context
        self.num_history_runs = num_history_runs
        self._is_named = bool(name or id)
        self.id = check_id("The agent's id", id or _slug(self.name))

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, {self.model!r})"

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation, from description and instructions."""
        points = self.instructions or ""
        if not isinstance(points, str):
            points = "\n".join(f"- {point}" for point in points)
        return "\n\n".join(part for part in (self.description, points) if part) or None

    @property
    def history_runs(self) -> int:
        """How many earlier runs of the session the model is shown."""
        return self.num_history_runs if self.add_history_to_context else 0

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> Coroutine[object, object, RunOutput]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[True],
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> AsyncGenerator[RunOutputEvent, None]: ...

    def arun(
        self,
        input: Input,
        *,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> Coroutine[object, object, RunOutput] | AsyncGenerator[RunOutputEvent, None]:
        """Run the agent.

        Args:
            input: a text, a message, or a list of messages.
            stream: return an iterator over the run's events instead of its output.
            stream_events: with ``stream``, yield every event; by default the pieces of content.
                With ``background`` the events can be left and taken up again with
                :meth:`astream_run`, in any process.
            background: return as soon as the run is durably accepted; it executes in this
                process or in any other that serves the agent, and survives them all. Without it
                the run belongs to the caller: where the caller is cancelled, so is the run.
            run_id: the run's id; by default a new one. The same id with the same input is the
                same run.
            session_id: the conversation; by default a new one.
            user_id: on whose behalf.
            metadata: JSON values to keep with the run.

        Returns:
            To be awaited: the run as it ended (COMPLETED, or CANCELLED), or with ``background``
            as it was accepted (PENDING). With ``stream``: to be iterated over, the events.

        Raises:
            InvalidInputError: an argument cannot be used; nothing was stored.
            ConfigurationError: the agent cannot do this.
            RunConflictError: the run id is in use for another input or agent.
            ModelError: the model failed (in the foreground; the run is settled as ERROR).
            DatabaseError: the run could not be stored.
        """
        run = self._new_run(input, run_id, session_id, user_id, metadata)
        if stream:
            return self._stream(run, stream_events, background)
        return self._submit(run) if background else self._execute(run, None)

    @overload
    def run(
        self,
        input: Input,
        *,
        stream: Literal[False] = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> RunOutput: ...

    @overload
    def run(
        self,
        input: Input,
        *,
        stream: Literal[True],
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> Iterator[RunOutputEvent]: ...

    def run(
        self,
        input: Input,
        *,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> RunOutput | Iterator[RunOutputEvent]:
        """Run the agent from synchronous code; see :meth:`arun`.

        Background runs execute in a thread of their own for as long as the interpreter lives,
        and are taken up again at the next start.
        """
        run = self._new_run(input, run_id, session_id, user_id, metadata)
        if stream:
            return portal().iterate(self._stream(run, stream_events, background))
        return portal().call(self._submit(run) if background else self._execute(run, None))

    async def aget_run_output(self, run_id: str, session_id: str | None = None) -> RunOutput | None:
        """Return a run as it stands, or None where it is not known.

        Args:
            run_id: the run.
            session_id: the session that it must belong to; by default any.

        Raises:
            ConfigurationError: the agent has no db.
            DatabaseError: it could not be read.
        """
        record = await (await self._runtime()).store.get(check_id("run_id", run_id))
        if record is None or session_id not in (None, record.session_id):
            return None
        return RunOutput.from_record(record)

    def get_run_output(self, run_id: str, session_id: str | None = None) -> RunOutput | None:
        """Return a run as it stands; see :meth:`aget_run_output`."""
        return portal().call(self.aget_run_output(run_id, session_id))

    async def acancel_run(self, run_id: str) -> bool:
        """Cancel a run, wherever it executes or waits.

        Args:
            run_id: the run, or the id that a run will have.

        Returns:
            True where the run ends cancelled: the connection to its model is closed within
            milliseconds, and what it produced is kept. False where it had ended, which changes
            nothing, or is not known; then the cancel is kept, and honoured when it arrives.

        Raises:
            DatabaseError: the database could not be told.
        """
        if self.db is None:
            return await acancel_run(run_id)
        return await (await self._runtime()).cancel(check_id("run_id", run_id))

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run; see :meth:`acancel_run`."""
        return portal().call(self.acancel_run(run_id))

    async def await_run(self, run_id: str, timeout: float | None = None) -> RunOutput | None:
        """Wait for a background run's end, whichever process executes it.

        Args:
            run_id: the run.
            timeout: seconds to wait at most; by default without end.

        Returns:
            The run as it ended, or None where it is not known.

        Raises:
            TimeoutError: it had not ended by then; it goes on.
            ConfigurationError: the agent has no db.
            DatabaseError: the database could not be reached.
        """
        record = await (await self._runtime()).wait(check_id("run_id", run_id), timeout)
        return None if record is None else RunOutput.from_record(record)

    def wait_run(self, run_id: str, timeout: float | None = None) -> RunOutput | None:
        """Wait for a background run's end; see :meth:`await_run`."""
        return portal().call(self.await_run(run_id, timeout))

    async def astream_run(
        self, run_id: str, after: int = 0
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events of a run, live while it executes, in whichever process that is.

        The events are numbered, the same in every process and at every time: a reader that was
        interrupted goes on after the last number it has. Where a model call is made again after a
        crash, a RunResumed says so, and the text since the last ModelRequestCompleted is void.
        Pieces of text whose whole a ModelRequestCompleted holds may be gone once the run has
        ended.

        Args:
            run_id: the run.
            after: the number of the last event that the reader has, or 0.

        Yields:
            The events, until the run ends or pauses.

        Raises:
            RunNotFoundError: there is no such run.
            ConfigurationError: the agent has no db.
            JournalError: what is stored of the run cannot be read.
        """
        runtime = await self._runtime()
        async with aclosing(runtime.stream(check_id("run_id", run_id), after)) as events:
            async for event in events:
                yield event

    def stream_run(self, run_id: str, after: int = 0) -> Iterator[RunOutputEvent]:
        """Yield the events of a run; see :meth:`astream_run`."""
        return portal().iterate(self.astream_run(run_id, after))

    async def aretry_run(self, run_id: str) -> RunOutput:
        """Have a run that ended in ERROR go on from its journal: what is done is not done again.

        Args:
            run_id: the run.

        Returns:
            The run, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it is not in ERROR.
        """
        runtime = await self._runtime()
        return await runtime.take_up(self, check_id("run_id", run_id), RunStatus.error)

    def retry_run(self, run_id: str) -> RunOutput:
        """Have a run that ended in ERROR go on; see :meth:`aretry_run`."""
        return portal().call(self.aretry_run(run_id))

    async def acontinue_run(
        self,
        run_id: str,
        *,
        results: dict[str, str] | None = None,
        from_seq: int | None = None,
        new_run_id: str | None = None,
        session_id: str | None = None,
    ) -> RunOutput:
        """Have a PAUSED run go on; or begin a new run from an earlier step of any run.

        Args:
            run_id: the run.
            results: what the tool calls of unknown outcome, for which the run paused, returned:
                texts by tool call id. Those that are left out are made again.
            from_seq: begin a new run with the events of this one up to this number; the steps
                after it are done anew.
            new_run_id: with ``from_seq``, the new run's id; by default a new one.
            session_id: with ``from_seq``, the new run's session; by default the same.

        Returns:
            The run, or the new one, PENDING.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it is not PAUSED, or does not wait for these results.
            RunConflictError: the new run's id is in use.
            InvalidInputError: an argument cannot be used.
        """
        runtime = await self._runtime()
        check_id("run_id", run_id)
        for call, result in (results or {}).items():
            if not isinstance(result, str):
                kind = type(result).__name__
                raise InvalidInputError(f"The result of {call} must be a text, not {kind}.")
        if from_seq is None:
            return await runtime.take_up(self, run_id, RunStatus.paused, results)
        if not isinstance(from_seq, int) or from_seq < 0:
            raise InvalidInputError(f"from_seq must be a number of 0 or more: {from_seq!r}.")
        record = await runtime.store.get(run_id, with_input=True)
        if record is None or record.input is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self.db}.")
        run = NewRun(
            run_id=check_id("new_run_id", str(uuid4()) if new_run_id is None else new_run_id),
            session_id=check_id("session_id", session_id or record.session_id),
            agent_id=self.id,
            user_id=record.user_id,
            input=record.input,
            metadata=record.metadata,
        )
        return await runtime.fork(self, run, run_id, from_seq)

    def continue_run(
        self,
        run_id: str,
        *,
        results: dict[str, str] | None = None,
        from_seq: int | None = None,
        new_run_id: str | None = None,
        session_id: str | None = None,
    ) -> RunOutput:
        """Have a PAUSED run go on, or branch off a new one; see :meth:`acontinue_run`."""
        return portal().call(
            self.acontinue_run(
                run_id,
                results=results,
                from_seq=from_seq,
                new_run_id=new_run_id,
                session_id=session_id,
            )
        )

    async def aprint_response(
        self,
        input: Input,
        *,
        stream: bool = True,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Run the agent and show its answer in the terminal as it comes.

        Args:
            input: a text, a message, or a list of messages.
            stream: show the answer while it is written; by default so.
            session_id: the conversation; by default a new one.
            user_id: on whose behalf.

        Raises:
            Exception: as :meth:`arun` does.
        """
        from kern.agent.display import show

        run = self._new_run(input, None, session_id, user_id, None)
        await show(
            self, RunInput.from_json(run.input), self._stream(run, False, False), live=stream
        )

    def print_response(
        self,
        input: Input,
        *,
        stream: bool = True,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Run the agent and show its answer in the terminal; see :meth:`aprint_response`."""
        portal().call(
            self.aprint_response(input, stream=stream, session_id=session_id, user_id=user_id)
        )

    def _new_run(
        self,
        given: Input,
        run_id: str | None,
        session_id: str | None,
        user_id: str | None,
        metadata: dict[str, object] | None,
    ) -> NewRun:
        if metadata is not None and not isinstance(metadata, dict):
            raise InvalidInputError(f"metadata must be a dict, not {type(metadata).__name__}.")
        return NewRun(
            run_id=check_id("run_id", str(uuid4()) if run_id is None else run_id),
            session_id=check_id("session_id", str(uuid4()) if session_id is None else session_id),
            agent_id=self.id,
            user_id=None if user_id is None else check_id("user_id", user_id),
            input=RunInput.of(given).to_json(),
            metadata=None if metadata is None else encode(metadata, "metadata"),
            parent_run_id=current_run.get(),
        )

    async def _submit(self, run: NewRun) -> RunOutput:
        if not self._is_named:
            raise ConfigurationError(
                "background=True needs an agent with a name or an id, by which every process "
                "knows whose runs they are."
            )
        runtime = await self._runtime("background=True")
        return await runtime.submit(self, run)

    async def _execute(self, run: NewRun, emit: Emit | None) -> RunOutput:
        if self.db is not None:
            return await (await self._runtime()).execute(self, run, emit)
        metadata = decode_object(run.metadata) if run.metadata else None
        output = RunOutput(
            run.run_id, run.session_id, run.agent_id, self.name, run.user_id, metadata=metadata
        )
        if cancellations.take_intent(run.run_id):
            output.status = RunStatus.cancelled
            return output
        journal = Journal(None, output, 1, 0, emit, streamed=False)
        attempt = Attempt(self, run.input, output, None, journal, foreground=True)
        await Executor().execute(attempt)
        if attempt.failure is not None:
            raise attempt.failure
        return attempt.output

    async def _stream(
        self, run: NewRun, every_event: bool, background: bool
    ) -> AsyncGenerator[RunOutputEvent, None]:
        if background:
            await self._submit(replace(run, streamed=True))
            events = self.astream_run(run.run_id)
        else:
            events = self._execute_streaming(run)
        async with aclosing(events):
            async for event in events:
                if every_event or event.event in _ALWAYS_STREAMED:
                    yield event

    async def _execute_streaming(self, run: NewRun) -> AsyncGenerator[RunOutputEvent, None]:
        events: asyncio.Queue[RunOutputEvent | None] = asyncio.Queue()
        task = asyncio.create_task(self._execute(run, events.put_nowait))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _runtime(self, what: str = "This") -> Runtime:
        if self.db is None:
            raise ConfigurationError(
                f"{what} needs a database: Agent(..., db=PostgresDb(db_url=...)), or SqliteDb or "
                "InMemoryDb."
            )
        return await Runtime.of(self.db)


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-") or "agent"
