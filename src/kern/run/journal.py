"""What the rows of a journal say: written by one version of kern, read by it and later ones."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kern.errors import JournalError, NewerJournalError
from kern.run.agent import RunEvent
from kern.run.codec import encode
from kern.run.record import JournalRow

VERSION = 1
"""The version of the payloads that this kern writes, and the newest that it reads."""

_Kinds = dict[str, type | tuple[type, ...]]

_NEEDED: dict[RunEvent, _Kinds] = {
    RunEvent.run_content: {"text": str},
    RunEvent.run_content_completed: {"content": (str, type(None))},
    RunEvent.run_error: {"message": (str, type(None))},
    RunEvent.model_request_completed: {"message": dict, "metrics": dict},
    RunEvent.tool_call_started: {"place": int},
    RunEvent.tool_call_completed: {"place": int, "result": str},
    RunEvent.tool_call_error: {"place": int, "result": str},
}
_OPTIONAL: dict[RunEvent, _Kinds] = {
    RunEvent.model_request_started: {"handle": str},
    RunEvent.model_request_completed: {"history": list},
    RunEvent.run_continued: {"retry": list},
}


def write_event(event: RunEvent, payload: dict[str, object]) -> tuple[str, str]:
    """Return the type and the payload of an event, as a row holds them.

    Raises:
        InvalidInputError: the payload has no JSON form.
    """
    return event.value, encode({"v": VERSION} | payload, "a journal event")


def read_row(row: JournalRow) -> tuple[RunEvent, dict[str, object]]:
    """Return the event in a row, and what happened.

    Raises:
        JournalError: the row is damaged, or was written by a newer kern.
    """
    with reading(row):
        payload = json.loads(row.payload)
        version = payload["v"]
        if version > VERSION:
            raise NewerJournalError(
                f"{_name(row)} has version {version}; this kern reads versions up to {VERSION}. "
                "Upgrade kern, then retry the run."
            )
        event = RunEvent(row.type)
        _check(payload, _NEEDED.get(event, {}), needed=True)
        _check(payload, _OPTIONAL.get(event, {}), needed=False)
        return event, payload


@contextmanager
def reading(row: JournalRow) -> Iterator[None]:
    """Have what cannot be made sense of name the row that it is in.

    Raises:
        JournalError: in place of what was raised.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise JournalError(
            f"{_name(row)} is damaged ({type(error).__name__}: {error}). It was kept as it is; "
            "repair it and retry the run, or fork the run from an earlier step."
        ) from error


def _name(row: JournalRow) -> str:
    return f"Row {row.seq} of the journal of run {row.run_id}"


def _check(payload: dict[str, object], kinds: _Kinds, *, needed: bool) -> None:
    for name, kind in kinds.items():
        if not needed and name not in payload:
            continue
        value = payload[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r:.100}")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name} is {value}")
