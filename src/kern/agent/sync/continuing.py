"""Generated from ``kern/agent/continuing.py`` by ``scripts/generate_sync.py``."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Literal, overload

from typing_extensions import Unpack

from kern.agent.blocking import blocking
from kern.agent.continuation import ContinueOptions
from kern.agent.continuing import Continuing
from kern.run.agent import Output, RunOutput
from kern.run.base import Deps
from kern.run.event import RunOutputEvent


class SyncContinuing(Continuing[Deps, Output]):
    """The methods of :class:`Continuing`, for code without an event loop."""

    @overload
    def continue_run(
        self,
        run_response: RunOutput[Any] | str | None = None,
        *,
        stream: Literal[False] | None = None,
        **options: Unpack[ContinueOptions],
    ) -> RunOutput[Output]: ...
    @overload
    def continue_run(
        self,
        run_response: RunOutput[Any] | str | None = None,
        *,
        stream: Literal[True],
        yield_run_output: Literal[False] = False,
        **options: Unpack[ContinueOptions],
    ) -> Iterator[RunOutputEvent]: ...
    @overload
    def continue_run(
        self,
        run_response: RunOutput[Any] | str | None = None,
        *,
        stream: Literal[True],
        yield_run_output: bool,
        **options: Unpack[ContinueOptions],
    ) -> Iterator[RunOutputEvent | RunOutput[Any]]: ...
    @overload
    def continue_run(
        self,
        run_response: RunOutput[Any] | str | None = None,
        *,
        stream: bool | None,
        yield_run_output: bool = False,
        **options: Unpack[ContinueOptions],
    ) -> RunOutput[Output] | Iterator[Any]: ...
    def continue_run(
        self,
        run_response: RunOutput[Any] | str | None = None,
        *,
        stream: bool | None = None,
        yield_run_output: bool = False,
        **options: Unpack[ContinueOptions],
    ) -> RunOutput[Output] | Iterator[Any]:
        """Have a run go on, in any process and at any time; or begin a new run from its steps.

        What becomes of it depends on how it stands. PAUSED: it goes on with what people have
        decided, and pauses again for what they have not. ERROR, or lost with its process: it goes
        on from its journal; what is done is not done again. COMPLETED: a new run begins where
        ``input``, ``continue_from``, ``fork`` or ``regenerate`` ask for one; else it is returned
        as it is. CANCELLED: it is refused.

        Args:
            run_response: the run, or its id. What was answered in a paused run's ``requirements``,
                or ``tools``, counts. Without a db it has to be the run itself.
            stream: return an iterator over the events from here on instead of the output; by
                default as the agent says, or not.
            yield_run_output: with ``stream``, yield the run itself at the end.
            options: all that follow.
            run_id: its id, where the first argument does not say it.
            requirements: those of the paused run, answered: ``requirement.confirm()``,
                ``.reject(note)``, ``.provide_user_input(values)``,
                ``.provide_user_feedback(answers)`` or ``.set_external_execution_result(text)``.
            updated_tools: the same as tool calls with their answers: ``tool.confirmed = True``.
            results: what tool calls for which the run paused returned elsewhere: texts by tool
                call id. Without ``requirements``, calls of unknown outcome that are left out are
                made again.
            input: what the user says beside it: the model is told after the results of its calls.
                With a completed run it begins a new one.
            continue_from: which of the run's messages a new run begins with: ``"end"`` for all,
                ``"last_user"`` for those up to the user's last one, or how many.
            fork: begin a new run though this one could go on.
            regenerate: begin a new run that answers once more, in the place of this one.
            replace_original: with ``regenerate``: whether the run is REGENERATED from then on, and
                no part of the history.
            additional_instructions: with ``regenerate``: what the user says of the new answer.
            from_seq: begin a new run with the steps of this one that tell nothing after the event
                of this number; what comes after them is done anew.
            new_run_id: a new run's id; by default a new one.
            session_id: the session of the run; of a new run the one that it belongs to, by default
                the same.
            user_id: the user whose run it must be; by default any.
            background: whether it goes on by itself, in this process or any other, and is returned
                PENDING; or here, for its caller. By default as it was begun.
            stream_events: with ``stream``, yield every event; by default the pieces of content,
                and how the run goes on and ends.
            by: who has decided, which is kept with the run: who answers second is told; by default
                the user, or else this process.
            metadata: JSON values to keep with the run, over those that it has.
            dependencies: what tools, hooks and instructions are given from here on, over the
                agent's; in the foreground, as the next two. A new run takes them also with
                ``background``.
            knowledge_filters: in place of the agent's.
            debug_mode: log what the run does, at the level DEBUG.
            raise_on_error: False to return a foreground run that failed, with its error, instead
                of raising it; by default the agent's.
            overrides: what a new run has otherwise than the agent says, as of :meth:`run`. Of the
                other run's it has none, but where it does the same over: with ``regenerate``, and
                with ``from_seq`` without ``input``.

        Returns:
            The run, or the new one: as it ended or paused again, or with ``background`` PENDING.
            With ``stream``, an iterator over its events, which raises at its end what the run
            failed of.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it does not wait for exactly these, or somebody has answered before, or
                it is too late; or it was cancelled.
            RequirementExpiredError: the run ends with something that nobody has answered in time;
                answers to other things are not taken.
            InvalidInputError: an argument cannot be used, or the run is another agent's.
            ConfigurationError: the agent has no db, and the run itself was not given.
            RunConflictError: the new run's id is in use.
            JournalError: what is stored of the run cannot be read.
            ModelError: the model failed, in the foreground; and all else that ``arun`` raises.
            DatabaseError: it could not be stored.
        """
        portal = blocking("await agent.acontinue_run(...)")
        work = self.acontinue_run(
            run_response, stream=stream, yield_run_output=yield_run_output, **options
        )
        return portal.iterate(work) if isinstance(work, AsyncGenerator) else portal.call(work)
