"""Runs as lists show them, as JSON values."""

from collections.abc import Sequence

from msgspec.structs import replace

from kern.errors import JournalError
from kern.operations.looking import Look
from kern.operations.wording import first_words
from kern.run.agent import RunOutput
from kern.run.codec import decode_object
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.record import RunRecord


def output_of(record: RunRecord) -> RunOutput:
    """Return a run, without what is stored of it where that is damaged."""
    try:
        return RunOutput.from_record(record)
    except JournalError:
        bare = replace(
            record, output=None, error=None, metadata=None, usage=None, requirements=None
        )
        return RunOutput.from_record(bare)


def error_of(record: RunRecord) -> str | None:
    """Return what went wrong with a run."""
    try:
        error = decode_object(record.error).get("message")
    except ValueError:
        return record.error
    return None if error is None else str(error)


def given_to(record: RunRecord) -> Sequence[Message]:
    """Return the input of a run that was read with it; nothing where that is damaged."""
    try:
        return RunInput.from_json(record.input or "").messages
    except ValueError:
        return ()


def given_text(record: RunRecord) -> str:
    """Return the text of the input of a run that was read with it."""
    return "\n\n".join(each.text for each in given_to(record))


def as_json(record: RunRecord, look: Look) -> dict[str, object]:
    """Return a listed run as JSON values, moments as ISO 8601."""
    output = output_of(record)
    moments = {
        name: None if moment is None else moment.isoformat()
        for name, moment in (
            ("run_at", record.run_at),
            ("created_at", record.created_at),
            ("started_at", record.started_at),
            ("finished_at", record.finished_at),
        )
    }
    return {
        "run_id": record.run_id,
        "agent_id": record.agent_id,
        "session_id": record.session_id,
        "user_id": record.user_id,
        "status": record.status.value,
        "waiting": record.waiting,
        "attempt": record.attempt,
        "executor": record.executor,
        "refusal": record.refusal,
        "why": look.why_json(record.run_id),
        "parent_run_id": record.parent_run_id,
        "priority": record.priority,
        **moments,
        "input": first_words(record),
        "error": error_of(record),
        "metadata": output.metadata,
        "metrics": output.metrics.to_dict(),
    }
