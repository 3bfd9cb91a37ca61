"""A run as its caller sees it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Self

import msgspec
from typing_extensions import TypeVar

from kern.errors import InvalidInputError, JournalError
from kern.run.base import RunStatus
from kern.run.codec import decode_object, dump, shown, to_json_value
from kern.run.event import RunOutputEvent
from kern.run.few import FEW, Few
from kern.run.input import messages_of
from kern.run.made import Made
from kern.run.message import Message
from kern.run.metrics import Metrics
from kern.run.record import JournalRow, KeptRun, RunRecord, Settlement
from kern.run.references import MessageReferences, references_from_json, references_to_json
from kern.run.required import Required
from kern.run.requirement import (
    RunRequirement,
    first_expiry,
    place_of,
    requirements_from_json,
    requirements_to_json,
)
from kern.run.tool import ToolExecution

Output = TypeVar("Output", default=str)
"""The type of what a run answers."""

Answer = TypeVar("Answer")
"""The type of what a run answers that is given its own."""


@dataclass(slots=True)
class RunOutput(Few, Made, Required, Generic[Output]):
    """A run as its caller sees it, at any moment of its life.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: the agent's identity.
        agent_name: the agent's name.
        user_id: on whose behalf it runs.
        status: where it is.
        content: what it answered; of a cancelled or failed run what there was by then.
        content_type: the type of the content, ``"str"`` for text.
        followups: what the user may want to ask next, where the agent suggests that.
        messages: the conversation as it was sent and answered. Of a run that was executed for this
            caller it begins with the system message and with those of earlier runs, whose
            ``from_history`` is True; what is stored has its own ones only.
        tools: the tools that it called, in the order in which they were asked for.
        metrics: what it used, with the runs that its tool calls were (``agent.as_tool()``).
        model: the model's id.
        model_provider: who serves the model.
        metadata: what the caller attached.
        error: what went wrong, where the status is ERROR.
        error_kind: the class of what went wrong, such as ``"ModelError"``.
        error_details: what a check that refused it says beside that: ``"check_trigger"`` and
            ``"additional_data"``.
        requirements: what it waits for, where the status is PAUSED.
        attempt: how many attempts at it have begun.
        parent_run_id: the run whose tool started it.
        created_at: when it was accepted, in seconds since 1970.
        started_at: when its first attempt began, or the first since its last retry.
        finished_at: when it ended.
        events: what happened, where the caller asked for it.
        output_schema: the form of the content, as JSON text, where the run has one of its own.
        media: the bytes of media in its messages, by their hash, as far as they are loaded: those
            of a run that was executed for this caller, up to 64 MiB, or after
            ``await agent.aload_media(run)``.
        session_state: the state of its session by then, where it has one.
        references: what was found for it.
        kept: what it goes on from, where it is PAUSED and its agent has no database.
        more: what few runs have, by name; each is an attribute, too, as all that follow.
        team_id: the team whose run it is, the same as ``agent_id`` then; None of an agent's.
        reasoning_steps: the steps in which a model thought before the answer.
        thoughts: the same as a text, with what a reasoning model has said beside them.
        compaction: the summary that stands for its oldest messages and those before it, for later
            runs of its session.
        reasoning_messages: the messages of these.
        additional_input: the examples that the model was shown.
        model_provider_data: what the provider says beside the answer.
        forked_from_run_id: the run with whose steps this one began.
        forked_from_message_index: how many of its messages it began with.
        forked_from_session_id: the session of that.
        regenerated_from: the run that this one stands in place of.
        last_checkpoint_at_message_index: how many of its messages are stored while it executes.
        input_json: what it was given, as JSON text, where that is known; see :attr:`input`.
        own_metrics: what it used itself, of a run that was executed here and has such calls.

    Example:
        >>> run = RunOutput("run", "session", "agent")
        >>> run.status
        <RunStatus.pending: 'PENDING'>
        >>> RunOutput.from_dict(run.to_dict()) == run
        True
    """

    run_id: str
    session_id: str
    agent_id: str
    agent_name: str | None = None
    user_id: str | None = None
    status: RunStatus = RunStatus.pending
    content: Output | None = None
    content_type: str = "str"
    messages: list[Message] = field(default_factory=list)
    tools: list[ToolExecution] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    model: str | None = None
    model_provider: str | None = None
    metadata: dict[str, object] | None = None
    error: str | None = None
    error_kind: str | None = None
    error_details: dict[str, object] | None = None
    requirements: list[RunRequirement] = field(default_factory=list)
    attempt: int = 0
    parent_run_id: str | None = None
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None
    events: list[RunOutputEvent] = field(default_factory=list)
    followups: list[str] = field(default_factory=list)
    session_state: dict[str, object] | None = None
    references: list[MessageReferences] | None = None
    more: dict[str, Any] | None = None
    kept: KeptRun | None = field(default=None, repr=False, compare=False)
    input_json: str | None = field(default=None, repr=False, compare=False)
    output_schema: str | None = field(default=None, repr=False, compare=False)
    media: Mapping[str, bytes] | None = field(default=None, repr=False, compare=False)
    own_metrics: Metrics | None = field(default=None, repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self.status.is_terminal

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person."""
        return self.status is RunStatus.paused

    @property
    def is_cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self.status is RunStatus.cancelled

    def wait_for(self, requirements: Sequence[RunRequirement]) -> None:
        """Note what it waits for, and have its tools be the calls of these.

        Args:
            requirements: what it waits for.
        """
        self.requirements = [*requirements]
        own: dict[int, ToolExecution] = {}
        for each in requirements:
            call = each.tool_execution
            call.user_input_schema = each.user_input_schema
            call.user_feedback_schema = each.user_feedback_schema
            if each.member_run_id is None:  # Else it is a child's, and may have the id of another.
                own[place_of(each)] = call
        # Who answers a call (`tool.confirmed = True`) answers its requirement. Models give several
        # calls of an answer the same id, so they are told apart by their order.
        waiting = [own[place] for place in sorted(own)]
        for at, tool in enumerate(self.tools):
            if tool.result is None:
                name = tool.tool_call_id, tool.tool_name
                same = (each for each in waiting if (each.tool_call_id, each.tool_name) == name)
                self.tools[at] = found = next(same, tool)
                waiting = [each for each in waiting if each is not found]

    def get_content_as_string(self) -> str:
        """Return the content as a text: what is no text, as JSON."""
        return shown(self.content)

    def to_dict(self) -> dict[str, object]:
        """Return the output as JSON values, without the events."""
        kept = {} if self.kept is None else {"kept": msgspec.to_builtins(self.kept)}
        body = self._body()
        more: dict[str, object] = body.pop("more", {})
        return (
            more
            | body
            | kept
            | {
                "tools": [each.to_dict() for each in self.tools],
                "metrics": self.metrics.to_dict(),
                "run_id": self.run_id,
                "session_id": self.session_id,
                "agent_id": self.agent_id,
                "user_id": self.user_id,
                "status": self.status.value,
                "metadata": self.metadata,
                "error": self.error,
                "error_kind": self.error_kind,
                "error_details": to_json_value(self.error_details),
                "requirements": [each.to_dict() for each in self.requirements],
                "attempt": self.attempt,
                "parent_run_id": self.parent_run_id,
                "created_at": self.created_at,
                "started_at": self.started_at,
                "finished_at": self.finished_at,
            }
        )

    def to_json(self, indent: int | None = None) -> str:
        """Return the output as JSON text, indented by ``indent`` spaces where that is given."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Self:
        """Return the output that :meth:`to_dict` gave; unknown keys are ignored.

        Raises:
            KeyError: an id is missing.
            ValueError: there is no such status or role, or a value is of another kind.
        """
        try:
            return cls._from_dict(values)
        except (AttributeError, TypeError) as error:
            raise InvalidInputError(f"The output of a run cannot be read: {error}") from error

    @classmethod
    def _from_dict(cls, values: dict[str, object]) -> Self:
        given: dict[str, Any] = values
        ids = ("run_id", "session_id", "agent_id")
        run_id, session_id, agent_id = (msgspec.convert(given[name], str) for name in ids)
        output = cls(
            run_id=run_id,
            session_id=session_id,
            agent_id=agent_id,
            user_id=given.get("user_id"),
            status=RunStatus(str(given.get("status", "PENDING"))),
            metadata=given.get("metadata"),
            error=given.get("error"),
            error_kind=given.get("error_kind"),
            error_details=given.get("error_details"),
            attempt=msgspec.convert(given.get("attempt", 0), int),
            parent_run_id=given.get("parent_run_id"),
            created_at=msgspec.convert(given.get("created_at", 0.0), float),
            started_at=given.get("started_at"),
            finished_at=given.get("finished_at"),
        )
        output._take_body(values)
        if few := {name: given[name] for name in FEW if name in given}:
            output.more = {**(output.more or {}), **few}
        if waiting := given.get("requirements"):
            output.wait_for([RunRequirement.from_dict(each) for each in waiting])
        if (kept := given.get("kept")) is not None:
            output.kept = msgspec.convert(kept, KeptRun)
        return output

    @classmethod
    def from_record(cls, record: RunRecord) -> Self:
        """Return the run in a row of the database.

        Raises:
            JournalError: what the row holds is damaged.
        """
        try:
            return cls._from_row(record)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise JournalError(f"The row of run {record.run_id} cannot be read: {error}") from error

    @classmethod
    def _from_row(cls, record: RunRecord) -> Self:
        output = cls(
            run_id=record.run_id,
            session_id=record.session_id,
            agent_id=record.agent_id,
            user_id=record.user_id,
            status=record.status if record.replaced_by is None else _replaced(record.status),
            metadata=decode_object(record.metadata) if record.metadata else None,
            error_kind=record.error_kind,
            attempt=record.attempt,
            parent_run_id=record.parent_run_id,
            output_schema=record.output_schema,
            input_json=record.input or None,
            created_at=record.created_at.timestamp(),
            started_at=_seconds(record.started_at),
            finished_at=_seconds(record.finished_at),
        )
        if record.error is not None:
            told: dict[str, Any] = decode_object(record.error)
            output.error, output.error_details = told.get("message"), told.get("details")
        if record.output is not None:
            output._take_body(decode_object(record.output))
        if record.requirements is not None:
            output.wait_for(requirements_from_json(record.requirements))
        if record.lineage is not None:
            output.more = {**(output.more or {}), **decode_object(record.lineage)}
        if record.usage is not None:
            output.metrics = Metrics.from_dict(decode_object(record.usage))
            output.metrics.name(output.model, output.model_provider)
        return output

    def settlement(
        self,
        attempt: int,
        journal: Sequence[JournalRow] = (),
        fold_before: int = 0,
    ) -> Settlement:
        """Return what an attempt writes to the run's row as its end; see :class:`Settlement`.

        Args:
            attempt: which attempt.
            journal: the rows that were not written yet.
            fold_before: the number before which pieces are deleted, or 0.
        """
        error = None if self.error is None else dump(self._error())
        requirements = self.requirements
        return Settlement(
            run_id=self.run_id,
            attempt=attempt,
            status=self.status,
            output=dump(self._body()),
            error=error,
            # Each run's own: who adds them up counts each once.
            usage=dump(self.own_metrics or self.metrics),
            error_kind=self.error_kind,
            model=self.model,
            requirements=requirements_to_json(requirements) if requirements else None,
            journal=tuple(journal),
            fold_before=fold_before,
            expires_at=first_expiry(requirements) if requirements else None,
        )

    def _error(self) -> dict[str, object]:
        if self.error_details is None:
            return {"message": self.error}
        return {"message": self.error, "details": to_json_value(self.error_details)}

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "agent_name": self.agent_name,
            "content": self.content if self.content_type == "str" else to_json_value(self.content),
            "content_type": self.content_type,
            "messages": [each.to_dict() for each in self.messages],
            "tools": self.tools,
            "metrics": self.metrics,
            "model": self.model,
            "model_provider": self.model_provider,
        }
        if self.followups:
            body["followups"] = self.followups
        if self.session_state is not None:
            body["session_state"] = self.session_state
        if self.references is not None:
            body["references"] = references_to_json(self.references)
        if self.more is not None:
            body["more"] = to_json_value(self.more)
        return body

    def _take_body(self, values: dict[str, object]) -> None:
        given: dict[str, Any] = values
        self.agent_name = given.get("agent_name")
        self.content = given.get("content")
        self.content_type = given.get("content_type", "str")
        self.messages = messages_of(values)
        self.tools = [ToolExecution.from_dict(each) for each in given.get("tools", ())]
        self.metrics = Metrics.from_dict(given.get("metrics", {}))
        self.model = given.get("model")
        self.model_provider = given.get("model_provider")
        self.metrics.name(self.model, self.model_provider)
        if "followups" in given:
            self.followups = given["followups"]
        self.session_state, self.more = given.get("session_state"), given.get("more")
        if given.get("references") is not None:
            self.references = references_from_json(given["references"])


def _replaced(status: RunStatus) -> RunStatus:
    return RunStatus.regenerated if status.is_terminal else status


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
