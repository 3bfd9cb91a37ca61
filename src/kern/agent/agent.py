"""The agent: what it is, and what can be done with it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from typing import Literal, overload
from uuid import uuid4

from kern.agent.portal import portal
from kern.db.base import Database
from kern.engine.executor import Executor
from kern.engine.loop import Attempt, Emit
from kern.engine.runtime import Runtime
from kern.errors import ConfigurationError, InvalidInputError
from kern.models.base import Model
from kern.run.agent import RunEvent, RunInput, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.cancel import acancel_run, cancellations
from kern.run.codec import check_id, decode_object, encode
from kern.run.message import Message
from kern.run.record import NewRun

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
        if background:
            if stream:
                raise ConfigurationError(
                    "A background run cannot be streamed yet: leave out stream or background."
                )
            return self._submit(run)
        return self._stream(run, stream_events) if stream else self._execute(run, None)

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
        if background:
            return portal().call(self._submit(run))
        if stream:
            return portal().iterate(self._stream(run, stream_events))
        return portal().call(self._execute(run, None))

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
        await show(self, RunInput.from_json(run.input), self._stream(run, False), live=stream)

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
        attempt = Attempt(self, run.input, output, foreground=True, emit=emit)
        await Executor().execute(attempt)
        if attempt.failure is not None:
            raise attempt.failure
        return attempt.output

    async def _stream(self, run: NewRun, every_event: bool) -> AsyncGenerator[RunOutputEvent, None]:
        events: asyncio.Queue[RunOutputEvent | None] = asyncio.Queue()
        task = asyncio.create_task(self._execute(run, events.put_nowait))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                if every_event or event.event in _ALWAYS_STREAMED:
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
