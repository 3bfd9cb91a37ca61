"""What no row holds, media and long texts: kept in blobs beside the run, loaded for the model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from kern.aio.batch import to_the_end
from kern.aio.retry import until_available
from kern.aio.threads import call_in_thread
from kern.db.base import Store
from kern.db.blobs import Blobs
from kern.models.media import note_for
from kern.run.codec import join_halves
from kern.run.content import (
    AudioPart,
    Blob,
    Content,
    FilePart,
    ImagePart,
    Inline,
    Part,
    TextPart,
    blob_of,
    data_in,
    detached,
)
from kern.run.items import attached_items, has_media, references_in
from kern.run.message import Message

LIMIT = 1024 * 1024
"""How many bytes of a text a row takes; media it does not take at all."""

# How many characters of a large text people see.
_SHOWN = 1000

# What of the media that was written or loaded an attempt keeps in memory, in bytes.
_REMEMBERED = 64 * 1024 * 1024

# What is hashed and decoded within a millisecond or two, in bytes.
_QUICK = 1024 * 1024


async def keep_result(
    store: Store | None,
    run_id: str,
    content: Content,
    keep: Callable[[Content], None],
    loaded: dict[str, bytes],
) -> None:
    """Have the result of a tool kept: long texts and media of it by reference.

    It is kept although the task is cancelled meanwhile; then the cancellation is passed on.

    Args:
        store: where the run is; None for nowhere, so that it is kept as it is.
        run_id: the run.
        content: the result.
        keep: called once, with what goes into the row.
        loaded: blobs in memory, by their hash; what is written is added, within bounds.
    """
    if store is None or not _is_large(content):
        return keep(content)
    blobs = store.blobs

    async def write() -> None:
        keep(await put_large(blobs, run_id, content, loaded))

    await to_the_end(lambda: until_available(write), write)


async def keep_answer(
    store: Store | None,
    run_id: str,
    message: Message,
    keep: Callable[[Message], None],
    loaded: dict[str, bytes],
) -> None:
    """Have an answer of a model kept, its media by reference; see :func:`keep_result`."""
    if store is None or not _holds_media(message):
        return keep(message)
    blobs = store.blobs

    async def write() -> None:
        found: dict[str, bytes] = {}
        kept = await call_in_thread(partial(message.without_media, found))
        await put_all(blobs, run_id, found)
        _remember(loaded, found)
        keep(kept)

    await to_the_end(lambda: until_available(write), write)


async def put_large(
    blobs: Blobs, run_id: str, content: Content, loaded: dict[str, bytes] | None = None
) -> Content:
    """Return a content in which long texts and media are references to their blobs."""
    if not _is_large(content):
        return content
    found: dict[str, bytes] = {}
    parts = (TextPart(content),) if isinstance(content, str) else content
    make = partial(_small, parts, found)
    small = make() if _size(parts) <= _QUICK else await call_in_thread(make)
    await put_all(blobs, run_id, found)
    if loaded is not None:
        _remember(loaded, found)
    return small


async def put_all(blobs: Blobs, run_id: str, found: Mapping[str, bytes]) -> None:
    """Keep data beside a run, each under its hash."""
    for hash, data in found.items():
        await blobs.put(run_id, data, hash)


def blobs_in(messages: Sequence[Message]) -> Iterator[str]:
    """Yield the hashes of the blobs to which messages refer."""
    for message in messages:
        if isinstance(message.content, tuple):
            for part in message.content:
                match part:
                    case ImagePart(Blob(hash)) | AudioPart(Blob(hash)) | FilePart(Blob(hash)):
                        yield hash
        if message.provider_items:
            yield from references_in(message.provider_items)


def without_media(message: Message) -> Message:
    """Return a message with texts in place of media, and without what a provider made of it."""
    parts = message.parts
    if not any(map(_is_media, parts)) and not any(references_in(message.provider_items)):
        return message
    content = tuple(note_for(part) if _is_media(part) else part for part in parts)
    return replace(message, content=content or message.content, provider_items=[])


def media_in(messages: Sequence[Message]) -> list[str]:
    """Return the hashes of the media to which messages refer, long texts left out."""
    texts = {
        part.source.hash
        for message in messages
        for part in message.parts
        if isinstance(part, FilePart) and isinstance(part.source, Blob) and part.source.shown
    }
    return sorted({*blobs_in(messages)} - texts)


async def whole(
    store: Store | None,
    messages: Sequence[Message],
    runs: Mapping[str, str],
    loaded: dict[str, bytes],
) -> list[Message]:
    """Return messages with what their references stand for, as a model is told it.

    Args:
        store: where the blobs are; None if there is none.
        messages: the messages.
        runs: by the hash of each blob in them, a run that has it.
        loaded: blobs in memory, by their hash; what is loaded is added, within bounds.

    Raises:
        BlobNotFoundError: a blob is not there.
    """
    found = dict(loaded)
    if store is not None:
        for hash in blobs_in(messages):
            if hash not in found:
                found[hash] = await until_available(partial(store.blobs.get, runs[hash], hash))
        _remember(loaded, found)
    return [with_data(each, found) for each in messages]


def with_data(message: Message, loaded: Mapping[str, bytes]) -> Message:
    """Return a message with what its references stand for, as far as that is loaded."""
    content = message.content
    hashes = set(blobs_in([message]))
    if not hashes or not hashes <= loaded.keys():
        return message
    if message.provider_items:
        items = attached_items(message.provider_items, loaded)
        message = replace(message, provider_items=items)
    if not isinstance(content, tuple):
        return message
    parts = tuple(_loaded(part, loaded) for part in content)
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return replace(message, content=parts[0].text)  # It was a text, or means the same.
    return replace(message, content=parts)


def is_kept_text(part: Part) -> bool:
    """Say whether a part is a text that is kept as a blob, being too long for a row."""
    match part:
        case FilePart(Blob(shown=str())):
            return True
    return False


def _is_media(part: Part) -> bool:
    if is_kept_text(part):
        return False
    match part:
        case ImagePart() | AudioPart() | FilePart():
            return True
    return False


def _loaded(part: Part, loaded: Mapping[str, bytes]) -> Part:
    match part:
        case FilePart(Blob(hash, shown=str())):
            return TextPart(loaded[hash].decode(errors="surrogatepass"))
        case ImagePart(Blob(hash)) | AudioPart(Blob(hash)) | FilePart(Blob(hash)):
            return msgspec.structs.replace(part, source=Inline(loaded[hash]))
    return part


def _remember(loaded: dict[str, bytes], found: Mapping[str, bytes]) -> None:
    room = _REMEMBERED - sum(map(len, loaded.values()))
    for hash, data in found.items():
        if hash not in loaded and len(data) <= room:
            loaded[hash] = data
            room -= len(data)


def _holds_media(message: Message) -> bool:
    content = message.content
    if isinstance(content, tuple) and any(data_in(part) is not None for part in content):
        return True
    return bool(message.provider_items) and has_media(message.provider_items)


def _is_large(content: Content) -> bool:
    if isinstance(content, str):
        return _is_long(content)
    return any(
        _is_long(part.text) if isinstance(part, TextPart) else data_in(part) is not None
        for part in content
    )


def _is_long(text: str) -> bool:
    # A character takes at most four bytes, and most texts are far from where they count.
    if text.isascii() or len(text) * 4 <= LIMIT:
        return len(text) > LIMIT
    return len(text) > LIMIT or len(_encoded(text)) > LIMIT


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _size(parts: Sequence[Part]) -> int:
    return sum(
        len(part.text) if isinstance(part, TextPart) else len(data_in(part) or b"")
        for part in parts
    )


def _small(parts: Sequence[Part], found: dict[str, bytes]) -> Content:
    return tuple([_small_part(part, found) for part in parts])


def _small_part(part: Part, found: dict[str, bytes]) -> Part:
    if not isinstance(part, TextPart):
        return detached(part, found)
    text = part.text
    if not _is_long(text):
        return part
    data = _encoded(text)
    blob = blob_of(data)
    found[blob.hash] = data
    shown = (
        f"{join_halves(text[:_SHOWN])}… These are the first {_SHOWN:,} characters of "
        f"{blob.size:,} bytes, kept as the blob {blob.hash}."
    )
    return FilePart(msgspec.structs.replace(blob, shown=shown), "text/plain")
