"""Reading a run's events, live or later, in any process."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from kern.db.base import Store
from kern.errors import RunNotFoundError
from kern.run.agent import ENDINGS, RunEvent, RunOutput, RunOutputEvent
from kern.run.base import RunStatus
from kern.run.journal import read_row
from kern.run.message import Message
from kern.run.record import JournalRow, RunRecord
from kern.run.tool import ToolCall, ToolExecution


async def read_events(
    store: Store, run_id: str, after: int, told: asyncio.Event
) -> AsyncGenerator[RunOutputEvent, None]:
    """Yield the events of a run, each once, until it ends or pauses.

    The run's end is not a row of its journal: it is the run itself, numbered after the last row.

    Args:
        store: where the run is.
        run_id: the run.
        after: the number of the last event that the reader has.
        told: set whenever there may be news.

    Raises:
        RunNotFoundError: there is no such run.
        JournalError: a row cannot be read.
    """
    await store.read(run_id)
    calls: list[ToolCall] = []
    last = 0
    while True:
        told.clear()
        # The run before its journal: once it has ended, nothing is added to that any more.
        record = await store.get(run_id)
        if record is None:
            raise RunNotFoundError(f"There is no run {run_id!r} in {store}.")
        for row in await store.events(run_id, last):
            last = row.seq
            event, calls = _event(record, row, calls)
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
                )
            return
        await told.wait()


def _event(
    record: RunRecord, row: JournalRow, calls: list[ToolCall]
) -> tuple[RunOutputEvent, list[ToolCall]]:
    """Return the event in a row, and the tool calls that the rows after it are about."""
    kind, payload = read_row(row)
    content, tool = None, None
    match kind:
        case RunEvent.run_content:
            content = cast(str, payload["text"])
        case RunEvent.model_request_completed:
            message = Message.from_dict(cast(dict[str, object], payload["message"]))
            content, calls = message.content, message.tool_calls
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
