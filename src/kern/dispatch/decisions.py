"""What is journaled when a run that stood still goes on: results of its calls, or a retry."""

from typing import cast

from kern.db.base import Store
from kern.errors import RunStateError
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.journal import read_row, reading, write_event
from kern.run.message import Message
from kern.run.record import RunRecord


async def decide(store: Store, record: RunRecord, results: dict[str, str]) -> list[tuple[str, str]]:
    """Return the journal's next events, as kinds and payloads.

    Args:
        store: where the run is.
        record: the run, in ERROR or PAUSED.
        results: by tool call id, what calls of unknown outcome returned; all others are made again.

    Raises:
        RunStateError: the run does not wait for one of these calls.
        JournalError: what is stored of it cannot be read.
    """
    if record.status is RunStatus.error:
        error = RunOutput.from_record(record).error
        return [
            write_event(RunEvent.run_error, {"message": error}),
            write_event(RunEvent.run_continued, {}),
        ]
    calls: list[str] = []
    done: set[object] = set()
    for row in await store.events(record.run_id, 0):
        event, payload = read_row(row)
        if event is RunEvent.model_request_completed:
            with reading(row):
                message = Message.from_dict(cast(dict[str, object], payload["message"]))
            calls, done = [call.id for call in message.tool_calls], set()
        elif event in (RunEvent.tool_call_completed, RunEvent.tool_call_error):
            done.add(payload["place"])
    waiting = [call for place, call in enumerate(calls) if place not in done]
    if unknown := sorted(set(results) - set(waiting)):
        raise RunStateError(
            f"Run {record.run_id} does not wait for {', '.join(unknown)}, but for "
            f"{', '.join(waiting)}."
        )
    given = [
        write_event(RunEvent.tool_call_completed, {"place": calls.index(call), "result": result})
        for call, result in results.items()
    ]
    again = [place for place, call in enumerate(calls) if place not in done and call not in results]
    return [*given, write_event(RunEvent.run_continued, {"retry": again})]
