"""An agent's methods for new runs."""

from collections.abc import AsyncGenerator, Coroutine, Mapping
from types import CoroutineType
from typing import Any, Literal, cast, overload

from typing_extensions import TypeForm, Unpack

from kern.agent.compacting import compacting
from kern.agent.definition import AgentDefinition
from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.request import Request
from kern.agent.streamed import stream_of
from kern.errors import ConfigurationError, InvalidInputError
from kern.run.agent import Answer, Output, RunOutput
from kern.run.base import Deps
from kern.run.event import RunOutputEvent


class Running(AgentDefinition[Deps, Output]):
    """What an agent can do to begin runs."""

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] | None = None,
        output_schema: None = None,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Output]]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] | None = None,
        output_schema: Mapping[str, object],
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[dict[str, object]]]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[False] | None = None,
        output_schema: TypeForm[Answer],
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Answer]]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[True],
        yield_run_output: Literal[False] = False,
        output_schema: object = None,
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[RunOutputEvent, None]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: Literal[True],
        yield_run_output: bool,
        output_schema: object = None,
        **options: Unpack[RunOptions],
    ) -> AsyncGenerator[RunOutputEvent | RunOutput[Any], None]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: bool | None = None,
        yield_run_output: bool = False,
        output_schema: None = None,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Output]] | AsyncGenerator[Any, None]: ...

    @overload
    def arun(
        self,
        input: Input,
        *,
        stream: bool | None,
        yield_run_output: bool = False,
        output_schema: object,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Any]] | AsyncGenerator[Any, None]: ...

    def arun(
        self,
        input: Input,
        *,
        stream: bool | None = None,
        yield_run_output: bool = False,
        output_schema: object = None,
        **options: Unpack[RunOptions],
    ) -> Coroutine[object, object, RunOutput[Any]] | AsyncGenerator[Any, None]:
        """Run the agent.

        Args:
            input: a text, a message, or a list of messages.
            stream: return an iterator over the run's events instead of its output; by default as
                the agent says, or not.
            output_schema: what this run answers, in place of what the agent says; see
                :class:`Agent`. A process that does not have the type looks at the JSON alone.
            options: all that follow.
            stream_events: with ``stream``, yield every event; by default the pieces of content,
                and how the run goes on and ends. With ``background`` a reader that was interrupted
                goes on with :meth:`astream_run`, in any process.
            yield_run_output: with ``stream``, yield the run itself at the end.
            images: what the model is shown beside the input, as part of its last message of the
                user; a file is read now. See ``docs/guides/media.md``.
            audio: recordings, likewise.
            videos: likewise.
            files: documents, likewise.
            background: return as soon as the run is durably accepted; it executes in this
                process or in any other that serves the agent, and survives them all. Without it
                the run belongs to the caller: where the caller is cancelled, so is the run.
            run_id: the run's id; by default a new one. The same id with the same input is the
                same run.
            session_id: the conversation; by default a new one.
            user_id: on whose behalf.
            metadata: JSON values to keep with the run.
            timeout: seconds after its first start at which the run ends in ERROR; by default the
                agent's. Where it is retried or continued, the time begins anew.
            usage_limits: how much the run may use, beside what its agent allows; then it ends in
                ERROR.
            priority: in the background, as all that follow: among the runs that are due, those
                of the highest priority start first.
            run_at: the moment before which the run does not start, a datetime with a time zone.
            max_attempts: how many attempts may fail, or be lost with their process, before the
                run ends in ERROR; by default the agent's. Where that is not set either, a run
                whose model fails ends at once, and one whose fifth worker was lost ends as well,
                for it may be what brings them down.
            session_policy: what becomes of the run where its session has another background run
                that has not ended; by default the agent's. ``"queue"``: it waits for it.
                ``"reject"``: it is refused with SessionBusyError. ``"interrupt"``: the others
                are cancelled, and it starts when they have stopped. ``"parallel"``: it starts at
                once, and nobody waits for it.
            webhook: an URL that is sent the run's end; see ``docs/guides/webhooks.md``.
            connection: your own connection to the agent's PostgreSQL, of asyncpg or SQLAlchemy
                (asynchronous): the run is accepted in its transaction, and begins after the
                commit. Its place in the session is that of its first delivery.
            session_state: state that the run begins with, over the session's and the agent's.
            dependencies: what tools, hooks and instructions are given, over the agent's. With
                ``background`` they must be JSON values, and are kept with the run's input: pass
                the names of secrets, not secrets.
            knowledge_filters: in place of the agent's.
            add_history_to_context: in place of what the agent says, as for the next two.
            add_dependencies_to_context: likewise.
            add_session_state_to_context: likewise.
            store: False to have nothing of the run kept once it has ended: it is journaled only
                until then. Not with ``background``. See ``docs/guides/operations.md``.
            raise_on_error: False to return a foreground run that failed, with its error, instead
                of raising it; by default the agent's.
            debug_mode: log what the run does, at the level DEBUG.
            overrides: what this run has otherwise than the agent says: more instructions, tools
                that the client calls, how the model answers. See
                :class:`~kern.run.overrides.Overrides`.

        Returns:
            The run as it ended (COMPLETED, or CANCELLED), or with ``background`` as it was
            accepted (PENDING). With ``stream``, an iterator over its events, which raises at its
            end what the run failed of, also in the background.

        Raises:
            InvalidInputError: an argument cannot be used; nothing was stored.
            ConfigurationError: the agent cannot do this.
            RunConflictError: the run id is in use for another input or agent.
            SessionBusyError: the session has another run, and the policy is ``"reject"``.
            QueueFullError: more of the agent's runs wait than its ``max_queued_runs``.
            RunTimeoutError: the run took too long (in the foreground, as the next two).
            UsageLimitError: the run has used as much as it may.
            BudgetExceededError: its user has, in a period.
            OutputSchemaError: the answer does not have the form that it must have, though the
                model was asked again.
            ModelError: the model failed; the run is settled as ERROR.
            RunFailedError: with ``stream`` and ``background``: the run failed of what is no error
                of kern.
            DatabaseError: the run could not be stored.
        """
        stream = self.stream if stream is None else stream
        request = Request.of(
            self,
            input,
            yield_run_output=yield_run_output,
            output_schema=output_schema,
            **options,
        )
        if stream:
            return stream_of(request)
        if options.get("stream_events"):
            raise InvalidInputError("stream_events: only with stream=True.")
        run = request.submit() if request.background else request.execute()
        output = cast("CoroutineType[object, object, RunOutput[Any]]", run)
        output.__qualname__ = "Agent.arun"  # Python says it, where nobody awaits it.
        return output

    async def acompact(
        self, session_id: str | None = None, *, user_id: str | None = None
    ) -> RunOutput[Any]:
        """Have all that was said in a session summed up; its later runs are told the summary.

        It is a run of the session, whose answer is the summary. The messages themselves stay.

        Args:
            session_id: the session; by default as for a run.
            user_id: on whose behalf; by default the agent's.

        Raises:
            ConfigurationError: the agent has no db, or no ``compaction``.
            InvalidInputError: it is not said which session.
            ModelError: the model failed; the session is as it was.
            DatabaseError: the run could not be stored.
        """
        how = None if self.compression is None else self.compression.conversation
        if how is None or self.db is None:
            raise ConfigurationError(
                "To sum up a session the agent needs Agent(db=..., compaction=True)."
            )
        return await compacting(self, how).arun(
            how.prompt, session_id=self._meant(session_id), user_id=user_id
        )
