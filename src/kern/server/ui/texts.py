"""What is too long for a run's page: texts, whole and plain, and its messages."""

from fastapi import Request, Response

from kern.db.base import Store
from kern.errors import JournalError
from kern.operations.listed import error_of, given_text, output_of
from kern.run.content import Blob, Content, FilePart, text_of
from kern.run.entry import read_row
from kern.run.printable import visible
from kern.run.record import JournalRow, RunRecord
from kern.run.steps import CallBroken, ModelAnswered, SecondaryAnswered
from kern.run.tool_steps import StepEnded, ToolEnded
from kern.server.problems import RequestError
from kern.server.ui.rendering import page
from kern.server.ui.route import pages_router
from kern.server.ui.run import Watched, number_in
from kern.server.ui.viewing import Viewer, Viewing

router = pages_router()

# How many messages are on a page.
_MESSAGES = 50


@router.get("/runs/{run_id}/messages")
async def show_messages(request: Request, run_id: str, viewer: Viewing) -> Response:
    """What was said in a run, once it has ended or paused."""
    run = output_of(await _record(viewer, run_id))
    first = number_in(request, "from") or 0
    shown = list(enumerate(run.messages))[first : first + _MESSAGES]
    following = first + _MESSAGES if first + _MESSAGES < len(run.messages) else None
    return page(
        request, viewer, "messages.html", run=run, shown=shown, first=first, following=following
    )


@router.get("/runs/{run_id}/text/{what}")
async def show_text(run_id: str, what: str, viewer: Viewing) -> Response:
    """A text of a run, whole: ``input``, ``answer``, ``error`` or ``message-3``."""
    record = await _record(viewer, run_id)
    match what.partition("-"):
        case ("input", "", ""):
            return _plain(given_text(record))
        case ("answer", "", ""):
            return _plain(output_of(record).get_content_as_string())
        case ("error", "", ""):
            return _plain(error_of(record) or "")
        case ("message", "-", number) if number.isdecimal() and len(number) < 10:
            said = output_of(record).messages[int(number) : int(number) + 1]
            if said:
                return _plain(said[0].text)
    raise _no_text()


@router.get("/runs/{run_id}/rows/{seq}")
async def show_row(request: Request, run_id: str, seq: int, viewer: Viewing) -> Response:
    """The text of a row of the journal, whole; with ``?call=0`` the arguments of its first call."""
    watched = await Watched.of(viewer, run_id)
    rows = await watched.store.events(watched.run_id, max(0, min(seq, 10**9) - 1))
    if not rows or rows[0].seq != seq:
        raise _no_text()
    call = number_in(request, "call")
    if call is not None:
        return _plain(_arguments_in(rows[0], call))
    return _plain(await _text_in(watched.store, rows[0]))


async def _record(viewer: Viewer, run_id: str) -> RunRecord:
    _, record = await viewer.reach.run(run_id, viewer.reach.reads, with_input=True)
    return record


async def _text_in(store: Store, row: JournalRow) -> str:
    """Return the text of a step; where it has none, the row as it is."""
    try:
        step = read_row(row).step
    except JournalError:
        return row.payload
    match step:
        case ModelAnswered(message) | SecondaryAnswered(message=message):
            return message.text
        case ToolEnded(content=content) | StepEnded(content=content):
            return await _whole(store, row.run_id, content)
        case CallBroken(text):
            return text
    return row.payload


def _arguments_in(row: JournalRow, place: int) -> str:
    """Return the arguments of a call for which an answer asks.

    Raises:
        JournalError: the row cannot be read.
        RequestError: there is no such call (404).
    """
    match read_row(row).step:
        case ModelAnswered(message) if place < len(message.tool_calls):
            return message.tool_calls[place].arguments
    raise _no_text()


async def _whole(store: Store, run_id: str, content: Content) -> str:
    """Return the text of a content; long ones are kept beside the journal.

    Raises:
        BlobNotFoundError: it is not there.
    """
    if isinstance(content, str):
        return content
    found = []
    for each in content:
        if isinstance(each, FilePart) and isinstance(each.source, Blob) and each.source.shown:
            found.append((await store.blobs.get(run_id, each.source.hash)).decode(errors="replace"))
        else:
            found.append(text_of([each]))
    return "".join(found)


def _plain(text: str) -> Response:
    """Return a text that no browser takes for anything else."""
    return Response(visible(text).encode(errors="replace"), media_type="text/plain")


def _no_text() -> RequestError:
    return RequestError(404, "There is no such text.", code="not_found")
