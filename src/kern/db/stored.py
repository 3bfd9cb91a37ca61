"""Between sessions and runs as users have them, and their rows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from kern.db.sessions import SessionRow
from kern.errors import InvalidInputError
from kern.run.agent import RunOutput
from kern.run.codec import check_id, check_user, decode_object, encode, parse
from kern.run.input import RunInput
from kern.run.numbers import check_count
from kern.run.record import RunRecord
from kern.run.state import stored_key, texts_of
from kern.session.agent import AgentSession, AnyRun
from kern.session.summary import SessionSummary


def session_of_row(
    row: SessionRow, load_runs: Callable[[], list[AnyRun]] | None = None
) -> AgentSession:
    """Return a session as it is stored.

    Args:
        row: the session.
        load_runs: reads its runs on their first use.
    """
    data = decode_object(row.data)
    session_data = _object(data.get("session_data")) or {}
    pairs = cast("list[tuple[str, str]]", parse(row.state or "[]"))
    state = {stored_key(key): parse(value) for key, value in pairs}
    if state:
        session_data["session_state"] = state
    if row.name is not None:
        session_data["session_name"] = row.name
    session = AgentSession(
        row.session_id,
        row.agent_id or None,
        row.user_id,
        session_data,
        _object(None if row.metadata is None else parse(row.metadata)),
        _object(data.get("agent_data")),
        None,
        None if row.summary is None else SessionSummary.from_dict(decode_object(row.summary)),
        _seconds(row.created_at),
        _seconds(row.updated_at),
        session_type=row.session_type or "agent",
        load_runs=load_runs,
    )
    session.stored_state = texts_of(state)
    return session


def row_of(session: AgentSession) -> SessionRow:
    """Return the row of a session, without its state.

    Raises:
        InvalidInputError: it holds what is no JSON.
    """
    rest = dict(session.session_data)
    rest.pop("session_state", None)  # It has a table.
    name = rest.pop("session_name", None)
    rest.pop("session_metrics", None)  # It is counted where somebody asks for it.
    kept = {"session_data": rest, "agent_data": session.agent_data}
    data = {key: value for key, value in kept.items() if value}
    created_at = session.created_at
    return SessionRow(
        check_id("session_id", session.session_id),
        session.agent_id or "",
        check_user(session.user_id),
        None if name is None else check_id("session_name", name),
        None,
        None if session.metadata is None else encode(session.metadata, "metadata"),
        None if session.summary is None else encode(session.summary.to_dict(), "summary"),
        encode(data, "session_data, or agent_data,") if data else None,
        moment("created_at", created_at),
        session_type="team" if session.session_type == "team" else None,
    )


def record_of(run: AnyRun) -> RunRecord:
    """Return the row of a run that has ended.

    Raises:
        InvalidInputError: it has not, or holds what is no JSON.
    """
    if not isinstance(run, RunOutput):
        raise InvalidInputError(f"Pass a RunOutput, not {type(run).__name__}.")
    if not run.status.is_terminal:
        raise InvalidInputError(
            f"Run {run.run_id} is {run.status.value}: only a run that has ended can be stored."
        )
    own = [each for each in run.messages if each.role != "system" and not each.from_history]
    settlement = replace(run, messages=own).settlement(run.attempt)
    asked = tuple(each for each in own if each.role == "user")
    return RunRecord(
        check_id("run_id", run.run_id),
        check_id("session_id", run.session_id),
        check_id("agent_id", run.agent_id),
        check_user(run.user_id),
        run.status,
        run.attempt,
        datetime.fromtimestamp(run.created_at, UTC),
        moment("started_at", run.started_at),
        moment("finished_at", run.finished_at),
        None if run.metadata is None else encode(run.metadata, "metadata"),
        settlement.output,
        settlement.error,
        error_kind=run.error_kind,
        usage=settlement.usage,
        input=run.input_json or RunInput(asked).to_json(),
        parent_run_id=run.parent_run_id,
    )


def moment(name: str, seconds: float | None) -> datetime | None:
    """Return a moment that a user gives in seconds since 1970.

    Args:
        name: what it is called, for the error.
        seconds: the moment, or None for none.

    Raises:
        InvalidInputError: it is none.
    """
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InvalidInputError(
            f"{name} must be a number of seconds since 1970, not {seconds!r:.50}."
        ) from None


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def page_of(limit: int | None, page: int | None) -> tuple[int | None, int]:
    """Return how many there are on a page, and how many before it.

    Raises:
        InvalidInputError: they are no numbers from 1 on.
    """
    if limit is not None:
        check_count("limit", limit)
    if page is None:
        return limit, 0
    check_count("page", page)
    if limit is None:
        raise InvalidInputError("page: say how long a page is, with limit.")
    return limit, limit * (page - 1)
