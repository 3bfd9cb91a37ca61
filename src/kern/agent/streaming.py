"""An agent's method for reading the events of a run."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kern.agent.definition import AgentDefinition, runtime_of
from kern.agent.streamed import named
from kern.agent.typed import typed_events, with_instance
from kern.errors import InvalidInputError
from kern.execution.child import may_nest
from kern.models.form import Form
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.codec import check_id, check_user
from kern.run.event import RunCompletedEvent, RunContentCompletedEvent, RunOutputEvent
from kern.run.ownership import ids_of


class Streaming(AgentDefinition[Deps, Output]):
    """What an agent can do to follow its runs."""

    async def astream_run(
        self, run_id: str, after: int = 0, *, user_id: str | None = None
    ) -> AsyncGenerator[RunOutputEvent, None]:
        """Yield the events of a run, live while it executes, in whichever process that is.

        The events are numbered, the same in every process and at every time: a reader that was
        interrupted goes on after the last number it has. Where a model call is made again, a
        RunContentVoided says that the last pieces, whose text it has, are void. Where the answer
        has a type, pieces have what there is of it (``partial``), and the end an instance. A run
        that ends in ERROR ends with a RunError; nothing is raised for it.

        Where tool calls are runs of other agents (:meth:`as_tool`), the events of these are among
        those of the run, each with the ``run_id`` and numbers of its own and its
        ``parent_run_id``: they come before the result of the call. A reader that goes on gets
        those of calls without a result from their beginning.

        Args:
            run_id: the run.
            after: the number of the last event that the reader has, or 0.
            user_id: the user whose run it must be; by default any.

        Yields:
            The events, until the run ends or pauses.

        Raises:
            RunNotFoundError: there is no such run.
            ConfigurationError: the agent has no db.
            JournalError: what is stored of the run cannot be read.
            InvalidInputError: an argument cannot be used.
        """
        if isinstance(after, bool) or not isinstance(after, int):
            raise InvalidInputError(f"after must be the number of an event, not {after!r:.50}.")
        check_id("run_id", run_id)
        check_user(user_id)
        runtime = await runtime_of(self)
        runtime.use(self)
        answering = self.answering
        form = None if answering is None else answering.form
        # What there is of a value is known only to who has read its answer from the beginning.
        nested = may_nest(self)
        first = after if form is None else 0
        events = named(self, runtime.stream(run_id, first, user_id, nested=nested))
        if answering is not None and form is not None:
            events = typed_events(events, form, grows=answering.parser is None)
        known, own = ("str" if form is None else form.content_type), None
        async with aclosing(events):
            async for event in events:
                if nested and event.run_id not in ids_of(run_id, user_id):
                    yield event
                    continue
                if event.seq <= after:
                    continue
                if isinstance(event, _ENDS) and event.content_type not in ("str", known):
                    own = own or await self._own_form(run_id, user_id)
                    event = with_instance(event, own)
                yield event

    async def _own_form(self, run_id: str, user_id: str | None) -> Form | None:
        """Return the form that a run was given, and not its agent; None where there is none."""
        record = await (await runtime_of(self)).store.get_for(run_id, user_id)
        text = None if record is None else record.output_schema
        return None if text is None else Form.from_json(text)


_ENDS = (RunContentCompletedEvent, RunCompletedEvent)
