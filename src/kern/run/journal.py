"""What the rows of a journal say: written by one version of kern, read by it and later ones."""

import json

from kern.errors import JournalError
from kern.run.agent import RunEvent
from kern.run.codec import encode
from kern.run.record import JournalRow

VERSION = 1
"""The version of the payloads that this kern writes, and the newest that it reads."""


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
    where = f"Row {row.seq} of the journal of run {row.run_id}"
    try:
        payload = json.loads(row.payload)
        version = payload["v"]
        if version > VERSION:
            raise JournalError(
                f"{where} has version {version}; this kern reads versions up to {VERSION}. "
                "Upgrade kern, then retry the run."
            )
        return RunEvent(row.type), payload
    except (ValueError, TypeError, KeyError) as error:
        raise JournalError(
            f"{where} is damaged ({type(error).__name__}: {error}). It was kept as it is; repair "
            "it and retry the run, or fork the run from an earlier step."
        ) from error
