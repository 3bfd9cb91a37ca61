"""What is too large for a row: kept in blobs beside the run, and loaded while a model is asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from kern.aio.batch import to_the_end
from kern.aio.retry import until_available
from kern.db.base import Store
from kern.db.blobs import Blobs
from kern.run.agent import RunInput
from kern.run.codec import join_halves
from kern.run.content import AudioPart, Blob, Content, FilePart, ImagePart, Inline, Part, TextPart
from kern.run.message import Message

LIMIT = 1024 * 1024
"""How many bytes of a text or of media a row takes."""

# How many characters of a large text people see.
_SHOWN = 1000


async def keep_small(
    store: Store | None,
    run_id: str,
    content: Content,
    keep: Callable[[Content], None],
    *,
    texts: bool = True,
) -> None:
    """Have a content kept, what of it is too large for a row by reference.

    It is kept although the task is cancelled meanwhile; then the cancellation is passed on.

    Args:
        store: where the run is; None for nowhere, so that nothing is too large.
        run_id: the run.
        content: the content.
        keep: called once, with what goes into the row.
        texts: whether texts go into blobs, too, or only media.
    """
    if store is None or not _is_large(content, texts):
        return keep(content)
    blobs = store.blobs

    async def write() -> None:
        keep(await put_large(blobs, run_id, content, texts=texts))

    await to_the_end(lambda: until_available(write), write)


async def put_large(blobs: Blobs, run_id: str, content: Content, *, texts: bool = True) -> Content:
    """Return a content in which what is too large for a row is a reference to its blob."""
    if not _is_large(content, texts):
        return content
    parts = (TextPart(content),) if isinstance(content, str) else content
    return tuple([await _put_part(blobs, run_id, part, texts) for part in parts])


async def small_input(blobs: Blobs, run_id: str, input: str) -> str:
    """Return the input of a run, as JSON text, with its large media as references to blobs."""
    if len(input) <= LIMIT:
        return input
    given = RunInput.from_json(input).messages
    messages = [
        replace(each, content=await put_large(blobs, run_id, each.content, texts=False))
        if isinstance(each.content, tuple)
        else each
        for each in given
    ]
    return RunInput(tuple(messages)).to_json()


def blobs_in(messages: Sequence[Message]) -> Iterator[str]:
    """Yield the hashes of the blobs to which messages refer."""
    for message in messages:
        if isinstance(message.content, tuple):
            for part in message.content:
                match part:
                    case ImagePart(Blob(hash)) | AudioPart(Blob(hash)) | FilePart(Blob(hash)):
                        yield hash


async def whole(
    store: Store, messages: Sequence[Message], runs: Mapping[str, str]
) -> list[Message]:
    """Return messages with what their references stand for, as a model is told it.

    Args:
        store: where the blobs are.
        messages: the messages.
        runs: by the hash of each blob in them, a run that has it.

    Raises:
        BlobNotFoundError: a blob is not there.
    """
    loaded = {
        hash: await until_available(partial(store.blobs.get, run_id, hash))
        for hash, run_id in runs.items()
    }
    return [_with_data(each, loaded) for each in messages]


def _with_data(message: Message, loaded: Mapping[str, bytes]) -> Message:
    content = message.content
    if not isinstance(content, tuple) or not any(blobs_in([message])):
        return message
    parts = tuple(_loaded(part, loaded) for part in content)
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return replace(message, content=parts[0].text)  # It was a text, or means the same.
    return replace(message, content=parts)


def _loaded(part: Part, loaded: Mapping[str, bytes]) -> Part:
    match part:
        case FilePart(Blob(hash, shown=str())):
            return TextPart(loaded[hash].decode(errors="surrogatepass"))
        case ImagePart(Blob(hash)) | AudioPart(Blob(hash)) | FilePart(Blob(hash)):
            return msgspec.structs.replace(part, source=Inline(loaded[hash]))
    return part


def _is_large(content: Content, texts: bool) -> bool:
    if isinstance(content, str):
        return texts and _is_long(content)
    return any(_is_large_part(part, texts) for part in content)


def _is_large_part(part: Part, texts: bool) -> bool:
    match part:
        case TextPart(text):
            return texts and _is_long(text)
        case ImagePart(Inline(data)) | AudioPart(Inline(data)) | FilePart(Inline(data)):
            return len(data) > LIMIT
    return False


def _is_long(text: str) -> bool:
    # A character takes at most four bytes, and most texts are far from where they count.
    if text.isascii() or len(text) * 4 <= LIMIT:
        return len(text) > LIMIT
    return len(text) > LIMIT or len(_encoded(text)) > LIMIT


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


async def _put_part(blobs: Blobs, run_id: str, part: Part, texts: bool) -> Part:
    if not _is_large_part(part, texts):
        return part
    match part:
        case TextPart(text):
            blob = await blobs.put(run_id, _encoded(text))
            shown = (
                f"{join_halves(text[:_SHOWN])}… These are the first {_SHOWN:,} characters of "
                f"{blob.size:,} bytes, kept as the blob {blob.hash}."
            )
            return FilePart(msgspec.structs.replace(blob, shown=shown), "text/plain")
        case ImagePart(Inline(data)) | AudioPart(Inline(data)) | FilePart(Inline(data)):
            return msgspec.structs.replace(part, source=await blobs.put(run_id, data))
    return part
