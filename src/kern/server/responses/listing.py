"""What runs were given, as items: messages in the words of OpenAI's Responses API."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from kern.db.base import Store
from kern.run.agent import RunOutput
from kern.run.content import Blob, FilePart, ImagePart, Part, Url
from kern.run.entry import read_row
from kern.run.input import RunInput
from kern.run.message import Message
from kern.run.record import RunRecord
from kern.run.steps import Continued, Paused
from kern.server.responses.ids import ResponseId
from kern.server.responses.object import Json
from kern.server.responses.reading import Found


async def input_items(found: Found, *, with_images: bool = False) -> list[Json]:
    """Return what a response was given, and not those before it, the first item first.

    Args:
        found: the response.
        with_images: whether images are there that the database holds, as ``data:`` URLs.
    """
    store, response = found.store, found.response
    record = await store.get(response.run_id, with_input=True)
    if record is None:
        return []
    messages = await _said_after(store, response) if response.stretch else _given(record)
    return await items_of(messages, response, record, store if with_images else None)


async def items_of(
    messages: Sequence[Message], response: ResponseId, record: RunRecord, store: Store | None
) -> list[Json]:
    """Return messages as items, with ids of their own.

    Args:
        messages: what a response was given.
        response: the response.
        record: its run.
        store: where images are read that the database holds; None to leave them out.
    """
    tail = str(response).removeprefix("resp_")
    items: list[Json] = []
    for message in messages:
        for item in await _items(message, record, store):
            item["id"] = f"{_KINDS[item['type']]}_{tail}_i{len(items)}"
            items.append(item)
    return items


def _given(record: RunRecord) -> Sequence[Message]:
    """Return what a run was given itself, without what it has of the run that it goes on from."""
    messages = RunInput.from_json(record.input or "{}").messages
    run: RunOutput[Any] = RunOutput.from_record(record)
    return messages[(run.more or {}).get("input_at", 0) :]


async def _said_after(store: Store, response: ResponseId) -> list[Message]:
    """Return what a run was told when it went on after its ``stretch``-th pause."""
    said: list[Message] = []
    pauses = 0
    for row in await store.events(response.run_id, 0):
        pauses += row.type == Paused.__name__
        if row.type == Continued.__name__ and pauses == response.stretch:
            step = read_row(row).step
            said += step.messages if isinstance(step, Continued) else ()
    return said


async def _items(message: Message, record: RunRecord, store: Store | None) -> list[Json]:
    match message.role:
        case "tool":
            output = message.text
            return [
                {
                    "type": "function_call_output",
                    "call_id": message.tool_call_id,
                    "output": output,
                    "status": "completed",
                }
            ]
        case "assistant":
            return _answer(message)
    parts = message.parts
    content = [await _part(each, record, store) for each in parts]
    if isinstance(message.content, str):
        content = [{"type": "input_text", "text": message.content}]
    return [{"type": "message", "role": message.role, "content": content, "status": "completed"}]


def _answer(message: Message) -> list[Json]:
    items: list[Json] = []
    if message.text:
        part: Json = {
            "type": "output_text",
            "text": message.text,
            "annotations": [],
            "logprobs": [],
        }
        if message.refusal:
            part = {"type": "refusal", "refusal": message.text}
        items.append(
            {"type": "message", "role": "assistant", "content": [part], "status": "completed"}
        )
    for call in message.tool_calls:
        items.append(
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
        )
    return items


async def _part(part: Part, record: RunRecord, store: Store | None) -> Json:
    match part:
        case ImagePart(source):
            url = await _url(source, part.mime_type, record, store)
            return {"type": "input_image", "detail": part.detail or "auto", "image_url": url}
        case FilePart(source=Url(url)):
            return {"type": "input_file", "file_url": url, "filename": part.name}
        case FilePart(source=Blob(shown=None)):
            return {"type": "input_file", "filename": part.name}
        case FilePart(source=Blob(shown=str(shown))):
            return {"type": "input_text", "text": shown}
    return {"type": "input_text", "text": getattr(part, "text", "")}


async def _url(
    source: object, mime_type: str | None, record: RunRecord, store: Store | None
) -> str | None:
    """Return the URL of an image; None where it is in the database, and not asked for."""
    if isinstance(source, Url):
        return source.url
    if not isinstance(source, Blob) or store is None:
        return None
    data = await store.blobs.get(record.run_id, source.hash)
    return f"data:{mime_type or 'image/png'};base64,{b64encode(data).decode()}"


_KINDS = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
