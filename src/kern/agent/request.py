"""A run that a caller has asked for, and the ways to carry it out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import Self

import msgspec
from typing_extensions import Unpack, override

from kern.agent.attachments import Attachments, holds_media
from kern.agent.definition import AnyAgent, runtime_of
from kern.agent.keywords import BesideOptions
from kern.agent.lines import Line, current_line
from kern.agent.options import Input, new_run, written
from kern.agent.work import Work
from kern.dispatch.alone import execute_alone
from kern.dispatch.submission import SessionPolicy
from kern.errors import ConfigurationError, InvalidInputError
from kern.execution.journal import Emit
from kern.execution.retriever import as_values
from kern.media import Audio, File, Image, Media, Video
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.event import RunOutputEvent
from kern.run.input import OVERRIDES, RunInput
from kern.run.record import NewRun
from kern.run.state import texts_of
from kern.run.steps import OPTIONS_VERSION, OVERRIDES_VERSION, TOLD_VERSION, TYPED_VERSION
from kern.run.usage import UsageLimits

importing: ContextVar[str | None] = ContextVar("importing", default=None)
"""The module that is being imported for its agents only, by a command."""


class Request(Work, frozen=True, kw_only=True):
    """A run, checked and complete, that nobody has begun yet.

    Attributes:
        run: the run.
        policy: what becomes of it where its session has another background run.
        connection: the caller's own, in whose transaction it is submitted.
        attachments: its input, where that holds media; it takes the place of the run's.
        line: where it is asked for, if its agent remembers the conversation that it began there.
    """

    run: NewRun
    policy: SessionPolicy
    connection: object | None = None
    attachments: Attachments | None = None
    line: Line | None = None

    @classmethod
    def of(
        cls,
        agent: AnyAgent,
        given: Input | None,
        *,
        begins: RunInput | None = None,
        images: Sequence[Image] | None = None,
        audio: Sequence[Audio] | None = None,
        videos: Sequence[Video] | None = None,
        files: Sequence[File] | None = None,
        stream_events: bool | None = None,
        yield_run_output: bool = False,
        raise_on_error: bool | None = None,
        background: bool = False,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, object] | None = None,
        timeout: float | None = None,
        usage_limits: UsageLimits | None = None,
        priority: int = 0,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        session_policy: SessionPolicy | None = None,
        webhook: str | None = None,
        connection: object | None = None,
        output_schema: object = None,
        dependencies: Mapping[str, object] | None = None,
        store: bool = True,
        **beside: Unpack[BesideOptions],
    ) -> Self:
        """Return what was asked for; see :meth:`kern.agent.Agent.arun`.

        A run that ``begins`` with messages, and options, of another may be given nothing.

        Raises:
            InvalidInputError: an argument cannot be used.
            ConfigurationError: a command imports a module only to find the agents in it.
        """
        _check_importing()
        if background:
            if not store:
                raise InvalidInputError(
                    "store=False: not with background=True, for nobody could read what it says."
                )
        else:
            _check_unused(
                connection=connection is not None,
                max_attempts=max_attempts is not None,
                priority=priority != 0,
                run_at=run_at is not None,
                session_policy=session_policy is not None,
                webhook=webhook is not None,
            )
        media = {"images": images, "audio": audio, "videos": videos, "files": files}
        said, attachments = _input(
            agent,
            given,
            begins,
            media if images or audio or videos or files else None,
            beside,
            dependencies if background else None,
        )
        run = new_run(
            agent.id,
            said.to_json() if attachments is None else "",
            run_id=run_id,
            session_id=agent.fixed_session_id if session_id is None else session_id,
            user_id=agent.user_id if user_id is None else user_id,
            metadata=metadata if agent.metadata is None else {**agent.metadata, **(metadata or {})},
            timeout=agent.timeout if timeout is None else timeout,
            usage_limits=usage_limits,
            priority=priority,
            run_at=run_at,
            max_attempts=agent.attempts if max_attempts is None else max_attempts,
            session_policy=session_policy,
            webhook=webhook,
            is_team=agent.is_team,
        )
        if version := _journal_version(agent, said.options):
            run = msgspec.structs.replace(run, journal_version=version)
        if not store:
            run = msgspec.structs.replace(run, unstored=True)
        form = None
        if output_schema is not None or agent.answering is not None:
            run, form = _formed(run, agent, output_schema)
        if session_policy is None:
            # A run that is part of another's work must not wait for that one to end.
            session_policy = agent.session_policy if run.parent_run_id is None else "parallel"
        line = None
        if agent.remembered is not None and not background and "session_id" not in run.chosen:
            line = current_line()
        return cls(
            agent=agent,
            run=run,
            background=background,
            policy=session_policy,
            connection=connection,
            form=form,
            attachments=attachments,
            every_event=agent.stream_events if stream_events is None else stream_events,
            yield_run_output=yield_run_output,
            raise_on_error=agent.raise_on_error if raise_on_error is None else raise_on_error,
            dependencies=None if background else dependencies,
            line=line,
        )

    @override
    async def submit(self) -> RunOutput:
        """Accept the run for the background, and return it, PENDING.

        Raises:
            ConfigurationError: the agent has no db, or neither name nor id.
            Exception: as :meth:`kern.dispatch.runtime.Runtime.submit` does.
        """
        if not self.agent.is_named:
            raise ConfigurationError(
                "background=True needs an agent with a name or an id, by which every process "
                "knows whose runs they are."
            )
        runtime = await runtime_of(self.agent, "background=True")
        run = self.run
        if self.attachments is not None:
            run = await self.attachments.attached(run)
        return await runtime.submit(self.agent, run, self.policy, self.connection)

    @override
    async def executed(self, emit: Emit | None) -> RunOutput:
        agent, run = self.agent, self.continued().run
        if self.attachments is not None:
            run = await self.attachments.attached(run)
        execute = execute_alone if agent.db is None else (await runtime_of(agent)).execute
        if agent.store_events and (agent.db is None or run.unstored):
            return await _with_events(execute, agent, run, emit, self.dependencies)
        return await execute(agent, run, emit, self.dependencies)

    @override
    def to_be_read(self) -> Self:
        return msgspec.structs.replace(self, run=msgspec.structs.replace(self.run, streamed=True))

    @override
    def continued(self) -> Self:
        run, line, remembered = self.run, self.line, self.agent.remembered
        if line is None or remembered is None or run.parent_run_id is not None:
            return self
        session_id = remembered.continued(line, run.session_id, run.user_id)
        continued = msgspec.structs.replace(
            run, session_id=session_id, is_new_session=session_id == run.session_id
        )
        return msgspec.structs.replace(self, run=continued, line=None)


async def _with_events(
    execute: Callable[
        [AnyAgent, NewRun, Emit | None, Mapping[str, object] | None], Awaitable[RunOutput]
    ],
    agent: AnyAgent,
    run: NewRun,
    emit: Emit | None,
    dependencies: Mapping[str, object] | None,
) -> RunOutput:
    """Carry out a run that is kept nowhere, and have it hold its events."""
    events: list[RunOutputEvent] = []

    def keep(event: RunOutputEvent) -> None:
        if not events or event.run_id == events[0].run_id:  # Else it is a child's.
            events.append(event)
        if emit is not None:
            emit(event)

    output = await execute(agent, run, keep, dependencies)
    rules = agent.session_rules
    output.events = [each for each in events if rules is None or each.event not in rules.skipped]
    return output


def _check_importing() -> None:
    """Make sure that no module begins a run that a command imports for its agents only.

    Raises:
        ConfigurationError: it does.
    """
    if (module := importing.get()) is not None:
        raise ConfigurationError(
            f"The module {module!r} begins a run where it is imported, and so would every "
            'process that imports it. Put that under: if __name__ == "__main__":'
        )


def _check_unused(**given: bool) -> None:
    """Make sure that a foreground run is given nothing that only a background run has.

    Args:
        given: whether it is, by each of these names.

    Raises:
        InvalidInputError: it is.
    """
    if unused := [name for name, is_set in given.items() if is_set]:
        raise InvalidInputError(f"{', '.join(unused)}: only with background=True.")


def _input(
    agent: AnyAgent,
    given: Input | None,
    begins: RunInput | None,
    media: Mapping[str, Sequence[Media] | None] | None,
    beside: BesideOptions,
    dependencies: Mapping[str, object] | None,
) -> tuple[RunInput, Attachments | None]:
    """Return the input of a run as it is stored, and with its media, where it holds any.

    Raises:
        InvalidInputError: it cannot be used.
    """
    said = RunInput(())
    if given is not None or begins is None:
        said = _said(agent, given, with_media=media is not None)
    if beside or dependencies is not None:
        said = replace(said, options=_kept(agent, beside, dependencies))
    if begins is not None:
        options = {**begins.options, **said.options}
        said = RunInput((*begins.messages, *said.messages), options)
    if media or ((begins or not isinstance(given, str)) and holds_media(said.messages)):
        return said, Attachments.of(said, media or {})
    return said, None


def _journal_version(agent: AnyAgent, options: Mapping[str, object]) -> int | None:
    """Return the version of the journal that a run needs for what is beside its messages."""
    if agent.starts_runs:
        return TOLD_VERSION
    if options or agent.summarizes or agent.hooks is not None or agent.uses_state:
        return OVERRIDES_VERSION if OVERRIDES in options else OPTIONS_VERSION
    return None


def _said(agent: AnyAgent, given: Input | None, *, with_media: bool) -> RunInput:
    """Return the input of a run as it is stored.

    Raises:
        InvalidInputError: it cannot be used.
    """
    schema, role = agent.input_schema, agent.user_message_role
    said = RunInput.of(
        given if schema is None else written(schema, given), with_media=with_media, role=role
    )
    if agent.hooks is not None:  # What it masks is nowhere at rest.
        said = replace(said, messages=agent.hooks.at_submit(said.messages))
    return said


def _kept(
    agent: AnyAgent, beside: BesideOptions, dependencies: Mapping[str, object] | None
) -> dict[str, object]:
    """Return what the executor of a run needs beside its messages, by the name of the option.

    Raises:
        InvalidInputError: the session state cannot be stored, or the overrides cannot be used.
    """
    state = beside.get("session_state")
    if state is not None:
        texts_of(state)
    given = {**beside, "dependencies": dependencies}
    if beside.get("knowledge_filters"):
        given["knowledge_filters"] = as_values(beside["knowledge_filters"])
    if (own := beside.get("overrides")) is not None:
        from kern.agent.overriding import stored

        given[OVERRIDES] = stored(agent, own)
    return {name: value for name, value in given.items() if value is not None}


def _formed(run: NewRun, agent: AnyAgent, output_schema: object) -> tuple[NewRun, Form | None]:
    """Return a run whose answer has a form, or secondary models; and the form.

    Raises:
        ConfigurationError: ``output_schema`` has no JSON form.
    """
    form, answering = Form.of(output_schema), agent.answering
    own = None if form is None else form.to_json()
    if form is None and answering is not None:
        form = answering.form
    version = max(run.journal_version, TYPED_VERSION)
    return msgspec.structs.replace(run, journal_version=version, output_schema=own), form
