"""Reading a run's events, live or later, in any process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import cast

from kern.aio.retry import until_available
from kern.db.base import Store
from kern.errors import RunNotFoundError
from kern.run.agent import ENDINGS, RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.journal import read_row, reading
from kern.run.message import Message
from kern.run.record import JournalRow, RunRecord
from kern.run.tool import ToolCall, ToolExecution


async def read_events(
    store: Store, run_id: str, after: int, changed: asyncio.Event, look_again: float
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events of a run, each once, until it ends or pauses.

    The run's end is not a row of its journal: it is the run itself, numbered after the last row.

    Args:
        store: where the run is.
        run_id: the run.
        after: the number of the last event that the reader has.
        changed: set whenever the run may have moved on.
        look_again: the seconds after which to look without that.

    Raises:
        RunNotFoundError: there is no such run.
        JournalError: a row cannot be read.
    """
    known = await until_available(lambda: store.read(run_id))
    calls: list[ToolCall] = []
    last, text = 0, ""
    while True:
        changed.clear()
        # The run before its journal: once it has ended, nothing is added to that any more.
        record = await until_available(lambda: store.get(run_id)) if known else None
        if record is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {store}.")
        for row in await until_available(partial(store.events, run_id, last)):
            with reading(row):
                event, calls = event_in(record, row, calls)
            # Who was slower than the run's end finds the last pieces folded into their whole.
            if (rest := _folded(event, last, text)) and last >= after:
                yield rest
            text = _text_after(event, text)
            last = row.seq
            if row.seq > after:
                yield event
        if record.status is RunStatus.paused:
            return
        if record.status.is_terminal:
            if last + 1 > after:
                output = RunOutput.from_record(record)
                yield RunOutputEvent(
                    ENDINGS[record.status],
                    run_id,
                    record.session_id,
                    record.agent_id,
                    last + 1,
                    output.error or output.content,
                    created_at=(record.finished_at or record.created_at).timestamp(),
                )
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(look_again):
                await changed.wait()


def _folded(event: RunOutputEvent, last: int, text: str) -> RunOutputEvent | None:
    """Return the text that was folded away between the row ``last`` and the event, if any was.

    Args:
        event: what came after that row.
        last: the number of the row.
        text: the pieces of the same text until then.
    """
    whole = event.content or ""
    rest = whole.removeprefix(text)
    is_completed = event.event is RunEvent.model_request_completed
    if not is_completed or last == event.seq - 1 or not rest or not whole.startswith(text):
        return None
    return replace(event, event=RunEvent.run_content, seq=event.seq - 1, content=rest)


def _text_after(event: RunOutputEvent, text: str) -> str:
    match event.event:
        case RunEvent.run_content:
            return text + (event.content or "")
        case RunEvent.model_request_completed | RunEvent.run_resumed | RunEvent.run_error:
            return ""
    return text


def event_in(
    record: RunRecord, row: JournalRow, calls: list[ToolCall]
) -> tuple[RunOutputEvent, list[ToolCall]]:
    """Return the event in a row, and the tool calls that the rows after it are about.

    Args:
        record: the run.
        row: a row of its journal.
        calls: what the row before it gave, or none.

    Raises:
        JournalError: the row cannot be read.
        LookupError: it is about a call that there is not.
    """
    kind, payload = read_row(row)
    content, tool = None, None
    match kind:
        case RunEvent.run_content:
            content = cast(str, payload["text"])
        case RunEvent.model_request_completed:
            message = Message.from_dict(cast(dict[str, object], payload["message"]))
            content, calls = message.text, message.tool_calls
        case RunEvent.run_error:
            content = cast(str, payload["message"])
        case RunEvent.run_content_completed:
            content = cast(str, payload["content"])
        case RunEvent.tool_call_started | RunEvent.tool_call_completed | RunEvent.tool_call_error:
            call = calls[cast(int, payload["place"])]
            content = cast(str | None, payload.get("result"))
            error = kind is RunEvent.tool_call_error
            tool = ToolExecution(call.id, call.name, call.arguments, content, error)
    event = RunOutputEvent(
        kind,
        record.run_id,
        record.session_id,
        record.agent_id,
        row.seq,
        content,
        tool,
        row.created_at,
    )
    return event, calls
