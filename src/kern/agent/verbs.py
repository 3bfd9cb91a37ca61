"""What can be done with an agent, in an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal, Unpack, overload

from kern.agent.definition import AgentDefinition
from kern.agent.options import RunOptions, new_run
from kern.dispatch.foreground import execute_alone
from kern.dispatch.runtime import Runtime
from kern.dispatch.submission import SessionPolicy
from kern.dispatch.waiting import Until
from kern.errors import ConfigurationError, InvalidInputError, RunNotFoundError
from kern.execution.cancellation import acancel_run
from kern.execution.journal import Emit
from kern.run.agent import RunEvent, RunInput, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.codec import check_id
from kern.run.identity import new_id
from kern.run.message import Message
from kern.run.record import NewRun

Input = str | Message | Sequence[Message | dict[str, object]]

_BACKGROUND_OPTIONS = {"priority", "run_at", "max_attempts", "session_policy", "webhook"}

_ALWAYS_STREAMED = (RunEvent.run_content, RunEvent.run_cancelled)


class AgentVerbs(AgentDefinition):
    """An agent's verbs, to be awaited."""

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] = False,
        background: bool = False,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[True],
        stream_events: bool = False,
        background: bool = False,
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[RunOutputEvent, None]: ...

    def arun(
        self,
        input: Input,
        *,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        **options: Unpack[RunOptions],
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
            options: ``run_id``, ``session_id``, ``user_id``, ``metadata`` and ``timeout``; and
                for the background ``priority``, ``run_at``, ``max_attempts``, ``session_policy``
                and ``webhook``. :class:`~kern.agent.options.RunOptions` describes them.

        Returns:
            To be awaited: the run as it ended (COMPLETED, or CANCELLED), or with ``background``
            as it was accepted (PENDING). With ``stream``: to be iterated over, the events.

        Raises:
            InvalidInputError: an argument cannot be used; nothing was stored.
            ConfigurationError: the agent cannot do this.
            RunConflictError: the run id is in use for another input or agent.
            SessionBusyError: the session has another run, and the policy is ``"reject"``.
            QueueFullError: more of the agent's runs wait than its ``max_queued_runs``.
            RunTimeoutError: the run took too long (in the foreground).
            ModelError: the model failed (in the foreground; the run is settled as ERROR).
            DatabaseError: the run could not be stored.
        """
        asked = self._ask(input, background, options)
        if stream:
            return self._stream(asked, stream_events)
        return self._submit(asked) if background else self._execute(asked.run, None)

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
        return await (await self._runtime()).cancel(check_id("run_id", run_id), self.model)

    async def await_run(
        self, run_id: str, timeout: float | None = None, *, until: Until = "pause"
    ) -> RunOutput | None:
        """Wait for a background run's end or pause, whichever process executes it.

        The wait outlasts an outage of the database, up to its timeout.

        Args:
            run_id: the run.
            timeout: seconds to wait at most; by default without end.
            until: ``"end"`` to wait on while the run is PAUSED.

        Returns:
            The run as it ended or paused, or None where it is not known.

        Raises:
            TimeoutError: it had not by then; it goes on.
            ConfigurationError: the agent has no db.
            DatabaseError: the database could not be opened.
        """
        runtime = await self._runtime()
        runtime.use(self)
        return await runtime.wait(check_id("run_id", run_id), timeout, until)

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
        runtime.use(self)
        async with aclosing(runtime.stream(check_id("run_id", run_id), after)) as events:
            async for event in events:
                yield event

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
        return await runtime.resume(check_id("run_id", run_id), RunStatus.error, definition=self)

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
            return await runtime.resume(run_id, RunStatus.paused, results, self)
        if not isinstance(from_seq, int) or from_seq < 0:
            raise InvalidInputError(f"from_seq must be a number of 0 or more: {from_seq!r}.")
        record = await runtime.store.get(run_id, with_input=True)
        if record is None or record.input is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {self.db}.")
        run = NewRun(
            run_id=check_id("new_run_id", new_id() if new_run_id is None else new_run_id),
            session_id=check_id("session_id", session_id or record.session_id),
            agent_id=self.id,
            user_id=record.user_id,
            input=record.input,
            metadata=record.metadata,
            ordered=self.session_policy != "parallel",
            timeout=self.timeout,
            max_attempts=self.max_attempts,
        )
        return await runtime.fork(self, run, run_id, from_seq)

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

        asked = self._ask(input, False, {"session_id": session_id, "user_id": user_id})
        await show(
            self, RunInput.from_json(asked.run.input), self._stream(asked, False), live=stream
        )

    def _ask(self, given: Input, background: bool, options: RunOptions) -> "_Asked":
        if not background and (unused := sorted(_BACKGROUND_OPTIONS & options.keys())):
            raise InvalidInputError(f"{', '.join(unused)}: only with background=True.")
        run = new_run(self.id, given, **options)
        policy = options.get("session_policy")
        if policy is None:
            # A run that is part of another's work must not wait for that one to end.
            policy = self.session_policy if run.parent_run_id is None else "parallel"
        run = replace(
            run,
            timeout=self.timeout if run.timeout is None else run.timeout,
            max_attempts=self.max_attempts if run.max_attempts is None else run.max_attempts,
        )
        return _Asked(run, background, policy)

    async def _submit(self, asked: "_Asked") -> RunOutput:
        if not self.is_named:
            raise ConfigurationError(
                "background=True needs an agent with a name or an id, by which every process "
                "knows whose runs they are."
            )
        runtime = await self._runtime("background=True")
        return await runtime.submit(self, asked.run, asked.policy)

    async def _execute(self, run: NewRun, emit: Emit | None) -> RunOutput:
        if self.db is not None:
            return await (await self._runtime()).execute(self, run, emit)
        return await execute_alone(self, run, emit)

    async def _stream(
        self, asked: "_Asked", every_event: bool
    ) -> AsyncGenerator[RunOutputEvent, None]:
        if asked.background:
            await self._submit(replace(asked, run=replace(asked.run, streamed=True)))
            events = self.astream_run(asked.run.run_id)
        else:
            events = self._execute_streaming(asked.run)
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """A run as its caller has asked for it."""

    run: NewRun
    background: bool
    policy: SessionPolicy
