"""That a run is to go on: what its caller has said, and what becomes of it by the run's status."""

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar, cast

import msgspec

from kern.agent.branching import Wanted, begins_anew, branch
from kern.agent.definition import AnyAgent, runtime_of
from kern.agent.keywords import RunOptions
from kern.agent.options import Input
from kern.agent.resumption import Alone, Resumption, Standing, stands_still
from kern.agent.work import Work
from kern.dispatch.answer import Answer, check_agent
from kern.errors import ConfigurationError, InvalidInputError, RunNotFoundError, RunStateError
from kern.execution.retriever import as_values
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.answers import answered, of_tools
from kern.run.base import RunStatus
from kern.run.codec import check_id, check_user, encode
from kern.run.fold import fold
from kern.run.input import RunInput
from kern.run.overrides import Overrides
from kern.run.ownership import ids_of
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.run.tool import ToolExecution

Kind = TypeVar("Kind")


class ContinueOptions(Wanted, total=False):
    """The keywords of :meth:`kern.agent.Agent.acontinue_run`, but for those that say its result."""

    run_id: str | None
    requirements: Sequence[RunRequirement] | None
    updated_tools: Sequence[ToolExecution] | None
    results: Mapping[str, str] | None
    input: Input | None
    new_run_id: str | None
    session_id: str | None
    user_id: str | None
    background: bool | None
    stream_events: bool | None
    by: str | None
    metadata: dict[str, object] | None
    dependencies: Mapping[str, object] | None
    knowledge_filters: Mapping[str, object] | Sequence[object] | None
    debug_mode: bool | None
    raise_on_error: bool | None
    overrides: Overrides | None


class Continuation(msgspec.Struct, frozen=True):
    """That a run is to go on, as its caller has said it; nobody has looked at the run yet.

    Attributes:
        agent: the agent.
        run_id: the run, as the user calls it.
        output: the run itself, where it was given.
        given: what else was said.
        answer: what the run is given to go on with.
        yield_run_output: whether its stream ends with the run itself.
    """

    agent: AnyAgent
    run_id: str
    output: RunOutput[Any] | None
    given: ContinueOptions
    answer: Answer
    yield_run_output: bool = False

    @classmethod
    def of(
        cls,
        agent: AnyAgent,
        run: object,
        given: ContinueOptions,
        *,
        yield_run_output: bool = False,
    ) -> Self:
        """Return what was asked for; see :meth:`kern.agent.Agent.acontinue_run`.

        Raises:
            InvalidInputError: an argument cannot be used.
        """
        run_id, output = given.get("run_id"), None
        if isinstance(run, RunOutput):
            output, named = run, run.run_id
        elif run is None and run_id is None:
            raise InvalidInputError("Which run is to go on? Pass it, or its run_id.")
        else:
            named = check_id("run_id", run_id if run is None else run)
        if run_id not in (None, named):
            raise InvalidInputError(f"Two runs are given: {named!r}, and {run_id!r:.260}.")
        check_user(given.get("user_id"))
        return cls(agent, named, output, given, _answer(agent, output, given), yield_run_output)

    async def work(self, *, is_read: bool = False) -> Work:
        """Look at the run, and return how it goes on.

        Args:
            is_read: whether the caller reads its events.

        Raises:
            RunNotFoundError: there is no such run.
            RunStateError: it cannot go on like this.
            InvalidInputError: an argument cannot be used, or it is another agent's.
            ConfigurationError: the agent has no db, and the run itself was not given.
        """
        given = self.given
        if self.agent.db is None:
            return await self._alone()
        store = (await runtime_of(self.agent)).store
        record = await store.get_for(self.run_id, given.get("user_id"), with_input=True)
        if record is None:
            raise RunNotFoundError(f"There is no run {self.run_id!r} in {store}.")
        if self._begins_anew(RunOutput.from_record(record).status):
            return await self._branch(self.output or self.run_id)
        self._check(record)
        background, told = given.get("background"), 0
        if is_read:
            told = fold(await store.events(record.run_id, 0)).next_event - 1
        # What waits for nobody is not given answers: that is refused.
        goes_on = record.status is RunStatus.paused or not self.answer.decides
        kind = Resumption if goes_on and stands_still(record) else Standing
        return kind(
            record=record,
            background=not record.foreground if background is None else background,
            told=told,
            **self._terms(record.output_schema),
        ).checked()

    async def _alone(self) -> Work:
        """Return how a run goes on that is kept nowhere."""
        if self.output is None:
            raise ConfigurationError(
                "To continue a run by its id needs a database: Agent(..., db=...). Without one, "
                "pass the paused run itself; a stream ends with it where yield_run_output=True."
            )
        if self._begins_anew(self.output.status):
            return await self._branch(self.output)
        if self.given.get("background"):
            raise ConfigurationError("background=True needs a database: Agent(..., db=...).")
        return Alone(output=self.output, **self._terms(self.output.output_schema))

    def _terms(self, output_schema: str | None) -> dict[str, Any]:
        """Return what holds for a run however it goes on, by the names in the work."""
        given, agent = self.given, self.agent
        return {
            "agent": agent,
            "answer": self.answer,
            "form": _form(agent, output_schema),
            "every_event": _or(given.get("stream_events"), agent.stream_events),
            "yield_run_output": self.yield_run_output,
            "raise_on_error": _or(given.get("raise_on_error"), agent.raise_on_error),
            "dependencies": given.get("dependencies"),
            "options": _options(given),
        }

    def _begins_anew(self, status: RunStatus) -> bool:
        given = self.given
        anew = begins_anew(status, given.get("input"), self._wanted)
        if anew and self.answer.decides:
            told = [name for name in _BRANCHING if given.get(name) not in (None, False)]
            if told:
                raise InvalidInputError(
                    f"requirements, updated_tools, results: only without {', '.join(told)}."
                )
            return False  # It is refused, for it does not wait for these.
        return anew

    @property
    def _wanted(self) -> Wanted:
        return cast(Wanted, _only(self.given, [*Wanted.__annotations__]))

    async def _branch(self, origin: RunOutput[Any] | str) -> Work:
        options = cast(RunOptions, _only(self.given, _OF_NEW_RUNS))
        if (run_id := self.given.get("new_run_id")) is not None:
            options["run_id"] = check_id("new_run_id", run_id)
        return await branch(
            self.agent,
            origin,
            self.given.get("input"),
            self._wanted,
            yield_run_output=self.yield_run_output,
            **options,
        )

    def _check(self, record: RunRecord) -> None:
        """Raise where a run cannot go on like this."""
        given = self.given
        check_agent(record, self.agent)
        session_id = given.get("session_id")
        if session_id is not None and record.session_id not in ids_of(session_id, record.user_id):
            raise RunNotFoundError(
                f"There is no run {self.run_id!r} in the session {session_id!r:.260}."
            )
        if record.unstored and given.get("background"):
            raise InvalidInputError(
                f"Run {self.run_id} was begun with store=False: not with background=True, for "
                "nobody could read what it says."
            )
        names = ("new_run_id", "additional_instructions", "overrides")
        unused = [name for name in names if given.get(name)]
        if unused:
            raise InvalidInputError(
                f"{', '.join(unused)}: only where a new run begins, with from_seq, continue_from, "
                "fork or regenerate."
            )
        if record.status is RunStatus.cancelled:
            raise RunStateError(
                f"Run {self.run_id} was cancelled. Begin a new one with its steps: fork=True."
            )


_BRANCHING = ("continue_from", "fork", "regenerate", "from_seq")

_OF_NEW_RUNS = (
    *("session_id", "user_id", "background", "stream_events", "metadata"),
    *("dependencies", "knowledge_filters", "debug_mode", "raise_on_error", "overrides"),
)


def _only(given: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    return {name: value for name, value in given.items() if name in names and value is not None}


def _answer(agent: AnyAgent, output: RunOutput[Any] | None, given: ContinueOptions) -> Answer:
    """Return what a run is given to go on with.

    Raises:
        InvalidInputError: some of it cannot be used.
    """
    requirements, tools = given.get("requirements"), given.get("updated_tools")
    _check_each("requirements", requirements, RunRequirement)
    _check_each("updated_tools", tools, ToolExecution)
    for each in (*(requirements or ()), *(() if output is None else output.requirements)):
        if not (isinstance(each.id, str) and isinstance(each.tool_execution, ToolExecution)):
            raise InvalidInputError(f"A requirement lacks its id or its call: {each!r:.200}.")
    if output is not None and requirements is None and tools is None and output.is_paused:
        requirements = _answered(output)
    results = given.get("results") or {}
    if not isinstance(results, Mapping):
        kind = type(results).__name__
        raise InvalidInputError(f"results must be a dict of texts by tool call id, not {kind}.")
    for call, result in results.items():
        if not (isinstance(call, str) and isinstance(result, str)):
            kind = type(result).__name__
            raise InvalidInputError(f"The result of {call!s:.255} must be a text, not {kind}.")
    said, metadata = given.get("input"), given.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInputError(f"metadata must be a dict, not {type(metadata).__name__}.")
    encode(metadata, "metadata")
    by = given.get("by")
    return Answer(
        requirements,
        results,
        tools,
        () if said is None else RunInput.of(said, role=agent.user_message_role).messages,
        _who(given) if by is None else check_id("by", by),
        metadata or {},
    )


def _answered(output: RunOutput[Any]) -> Sequence[RunRequirement] | None:
    """Return what a paused run waits for, with the answers in it or in its calls, if there are any.

    Raises:
        InvalidInputError: an answer cannot be used.
    """
    called = {each.id: each for each in of_tools(output.requirements, output.tools)}
    given = [
        each if _is_answered(each) else called.get(each.id, each) for each in output.requirements
    ]
    return given if any(map(_is_answered, given)) else None


def _is_answered(requirement: RunRequirement) -> bool:
    return answered(requirement, requirement).is_resolved()


def _who(given: ContinueOptions) -> str:
    return given.get("user_id") or f"process {os.getpid()} on {socket.gethostname()}"


def _check_each(name: str, values: object, kind: type) -> None:
    if values is None:
        return
    if not isinstance(values, Sequence) or not all(isinstance(each, kind) for each in values):
        raise InvalidInputError(
            f"{name} must be a list of {kind.__name__}, as a paused run has them, "
            f"not {values!r:.100}."
        )


def _form(agent: AnyAgent, own: str | None) -> Form | None:
    if own is not None:
        return Form.from_json(own)
    return None if agent.answering is None else agent.answering.form


def _options(given: ContinueOptions) -> dict[str, object]:
    names = ("knowledge_filters", "debug_mode")
    found = {name: value for name in names if (value := given.get(name)) is not None}
    if "knowledge_filters" in found:
        found["knowledge_filters"] = as_values(found["knowledge_filters"])
    return found


def _or(given: Kind | None, usual: Kind) -> Kind:
    return usual if given is None else given
