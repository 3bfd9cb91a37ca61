"""What clients are shown: runs, sessions, approvals and agents as JSON, as it is documented."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, Field, JsonValue

from kern.db.sessions import SessionRow
from kern.db.stored import session_of_row
from kern.models.form import Form
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.run.record import RunRecord
from kern.run.requirement import RunRequirement
from kern.server.runs.documented import Shown
from kern.server.service import AnyAgent

Entry = TypeVar("Entry")

# What the server itself keeps in the metadata of a run.
_RESERVED = "kern."

_RUN = (
    *("run_id", "session_id", "agent_id", "agent_name", "user_id", "status", "metadata"),
    *("error", "error_kind", "error_details", "requirements", "attempt", "parent_run_id"),
    *("created_at", "started_at", "finished_at", "metrics", "forked_from_run_id"),
    *("forked_from_message_index", "forked_from_session_id", "regenerated_from"),
)
_PRODUCED = (
    *("content", "content_type", "tools", "model", "model_provider", "followups", "references"),
    *("reasoning_steps", "model_provider_data"),
)
_HIDDEN = ("provider", "provider_items", "server", "metrics")


class ShownAgent(Shown):
    """An agent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "researcher",
                    "name": "Researcher",
                    "model": "gpt-5.4",
                    "tools": [{"name": "search", "description": "Search the web."}],
                    "output_schema": None,
                    "input_schema": None,
                }
            ]
        }
    )

    id: str = Field(description="Its identity: what runs name as `agent`.")
    name: str
    model: str | None = None
    tools: list[dict[str, Any]] = Field(description="The tools that are known before a run.")
    output_schema: dict[str, Any] | None = Field(None, description="What it answers.")
    input_schema: dict[str, Any] | None = Field(None, description="What it takes.")


class ShownRequirement(Shown):
    """One thing that a paused run waits for."""

    id: str
    kind: str = Field(
        description="`confirmation`, `user_input`, `user_feedback`, `external_execution` or "
        "`unknown_outcome`."
    )
    pause_type: str = Field(description="How it is answered.")
    resolved: bool = Field(description="Whether it was answered.")
    tool_execution: dict[str, Any] = Field(description="The call that waits, with its arguments.")
    user_input_schema: list[dict[str, Any]] | None = None
    user_feedback_schema: list[dict[str, Any]] | None = None
    expires_at: float | None = None
    approval_id: str | None = Field(
        None, description="The record of the decision, if there is one."
    )


class ShownRun(Shown):
    """A run as it stands. Moments are seconds since 1970."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run_id": "01997c1e",
                    "session_id": "heat-pumps",
                    "agent_id": "researcher",
                    "user_id": "ada",
                    "status": "COMPLETED",
                    "content": "The market grows by 9% a year.",
                    "content_type": "str",
                    "metadata": {"team": "research"},
                    "error": None,
                    "requirements": [],
                    "attempt": 1,
                    "created_at": 1795700000.0,
                    "started_at": 1795700000.1,
                    "finished_at": 1795700009.2,
                }
            ]
        }
    )

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None = None
    status: RunStatus
    content: JsonValue = Field(None, description="What it answered; not in lists, as the tools.")
    content_type: str = "str"
    tools: list[dict[str, Any]] = Field([], description="The tools that it called.")
    metrics: dict[str, Any] = Field({}, description="What it used.")
    metadata: dict[str, Any] | None = None
    error: str | None = None
    error_kind: str | None = None
    requirements: list[ShownRequirement] = Field([], description="What it waits for, if PAUSED.")
    attempt: int
    parent_run_id: str | None = None
    forked_from_run_id: str | None = None
    regenerated_from: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None


class ShownMessage(Shown):
    """A message of a run."""

    run_id: str
    role: str
    content: JsonValue = Field(None, description="A text, or parts; media by their hash.")
    tool_calls: list[dict[str, Any]] = Field([])
    tool_call_id: str | None = None


class ShownSession(Shown):
    """A session. Moments are seconds since 1970."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session_id": "heat-pumps",
                    "agent_id": "researcher",
                    "user_id": "ada",
                    "name": "Heat pumps",
                    "summary": None,
                    "metadata": None,
                    "session_data": {},
                    "created_at": 1795700000,
                    "updated_at": 1795700009,
                }
            ]
        }
    )

    session_id: str
    agent_id: str | None = Field(None, description="The agent that began it.")
    user_id: str | None = None
    name: str | None = None
    summary: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    session_data: dict[str, Any] = Field({})
    created_at: int | None = None
    updated_at: int | None = None


class ShownApproval(Shown):
    """The record of a decision. Moments are seconds since 1970."""

    id: str
    run_id: str
    requirement_id: str | None = None
    status: str = Field(
        description="`pending`, `approved`, `rejected`, `expired` or `cancelled`.",
        examples=["pending"],
    )
    approval_type: str = Field(description="`required`, or `audit`.")
    pause_type: str = Field(description="What a person has to give.")
    tool_name: str | None = None
    tool_args: JsonValue = None
    agent_id: str | None = None
    user_id: str | None = Field(None, description="On whose behalf the run executes.")
    resolved_by: str | None = Field(None, description="Who has decided.")
    resolved_at: int | None = None
    resolution_data: JsonValue = None
    created_at: int
    expires_at: int | None = None


class Page(Shown, Generic[Entry]):
    """A page of a list, the newest first."""

    data: list[Entry]
    next: str | None = Field(
        None, description="The `cursor` of the next page; null where there is none."
    )


def agent_shown(agent: AnyAgent) -> dict[str, object]:
    """Return an agent as JSON values; what its model is told is nobody else's."""
    answers = None if agent.answering is None else agent.answering.form
    takes = Form.of(agent.input_schema, "input_schema")
    return {
        "id": agent.id,
        "name": agent.name,
        "model": getattr(agent.model, "id", None),
        "tools": [
            {"name": each.name, "description": each.schema.description}
            for each in agent.get_tools()
        ],
        "output_schema": None if answers is None else answers.schema,
        "input_schema": None if takes is None else takes.schema,
    }


def run_shown(run: RunOutput[Any], *, listed: bool = False) -> dict[str, object]:
    """Return a run as JSON values.

    Args:
        run: the run.
        listed: whether what it has produced is left out.
    """
    values = run.to_dict()
    names = _RUN if listed else (*_RUN, *_PRODUCED)
    shown = {name: values[name] for name in names if name in values}
    shown["requirements"] = [requirement_shown(each) for each in run.requirements]
    shown["metadata"] = without_reserved(run.metadata)
    return shown


def output_of(record: RunRecord) -> RunOutput[Any]:
    """Return the run in a row of the database; its content is JSON."""
    return RunOutput.from_record(record)


def record_shown(record: RunRecord, *, listed: bool = False) -> dict[str, object]:
    """Return the run in a row of the database as JSON values; see :func:`run_shown`."""
    return run_shown(output_of(record), listed=listed)


def requirement_shown(requirement: RunRequirement) -> dict[str, object]:
    """Return what a run waits for as JSON values."""
    more = {"pause_type": requirement.pause_type, "resolved": requirement.is_resolved()}
    return requirement.to_dict() | more


def without_reserved(metadata: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return metadata without what the server keeps there; None where nothing is left."""
    kept = {
        name: value for name, value in (metadata or {}).items() if not name.startswith(_RESERVED)
    }
    return kept or None


def message_shown(message: Message, run_id: str) -> dict[str, object]:
    """Return a message as JSON values, without what is only for its provider."""
    values = {name: each for name, each in message.to_dict().items() if name not in _HIDDEN}
    return {"run_id": run_id, **values}


def session_shown(row: SessionRow) -> dict[str, object]:
    """Return a session as JSON values, without its state."""
    session = session_of_row(row)
    values = session.body()
    data = dict(session.session_data)
    data.pop("session_state", None)
    values["name"] = data.pop("session_name", None)
    values["session_data"] = data
    values["metadata"] = without_reserved(session.metadata)
    del values["session_type"], values["team_id"]
    return values
