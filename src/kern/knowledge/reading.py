"""Contents as chunks: opened where they are, read in threads, and cut."""

import asyncio
import stat
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

from kern.aio.threads import call_in_thread
from kern.db.contents import Content
from kern.errors import ContentError, KernError, described
from kern.knowledge.chunking import Chunking
from kern.knowledge.fetching import fetch, folder, too_large
from kern.knowledge.readers import Part, Reader, reader_for
from kern.knowledge.sources import Source, clean
from kern.run.codec import encode
from kern.vectordb.document import Document

# The seconds to read a batch.
_PATIENCE = 300.0

# How many characters a content may have: what is packed may be much more than its file.
_LONGEST = 200_000_000


@asynccontextmanager
async def opened(
    source: Source, readers: Sequence[Reader], most: int
) -> AsyncGenerator[tuple[Iterator[Part], int], None]:
    """Have the parts of a content, which nobody has read yet, and how many bytes it has.

    Args:
        source: where it comes from.
        readers: those of the user.
        most: how many bytes it may have.

    Raises:
        ContentError: it cannot be opened.
        KernError: a package is not installed.
    """
    if source.kind == "text":
        yield iter([Part(source.text)]), len(source.text.encode("utf-8", "replace"))
        return
    with folder() if source.kind == "url" else nullcontext() as made:
        path, media_type = Path(source.location), None
        try:
            if made is not None:
                path, media_type = await fetch(source.location, made, most)
            found = await call_in_thread(path.stat)
            if not stat.S_ISREG(found.st_mode):
                raise ContentError("it is no file")
            if found.st_size > most:
                raise too_large(found.st_size, most)
        except ContentError as error:
            raise ContentError(f"{source.name}: {error}") from None
        except OSError as error:
            raise ContentError(f"{source.name}: {error.strerror}") from None
        yield reader_for(path, media_type, readers).read(path), found.st_size


async def next_of(batches: Iterator[list[Document]], source: Source) -> list[Document] | None:
    """Return the next chunks, read in a thread; None where there are no more.

    Args:
        batches: see :func:`batches_of`.
        source: where they come from, for errors.

    Raises:
        ContentError: the content cannot be read.
        KernError: a package is not installed.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            return await call_in_thread(partial(next, batches, None))
    except TimeoutError:
        why = f"to read a part of it took longer than {_PATIENCE:g} s"
    except ContentError as error:
        why = str(error)
    except KernError:
        raise
    except Exception as error:
        why = f"it is damaged, or cannot be read: {described(error)[:300]}"
    raise ContentError(f"{source.name}: {why}") from None


def batches_of(
    content: Content, source: Source, parts: Iterator[Part], chunking: Chunking, size: int
) -> Generator[list[Document], None, None]:
    """Yield the chunks of a content, several at once.

    Args:
        content: the content.
        source: where it comes from.
        parts: its parts.
        chunking: how they are cut.
        size: how many chunks are a batch.
    """
    documents = _documents(content, source, parts, chunking)
    while batch := [*islice(documents, size)]:
        yield batch


def _documents(
    content: Content, source: Source, parts: Iterator[Part], chunking: Chunking
) -> Iterator[Document]:
    """Yield the chunks of a content, each with an id that follows from all that is known of it."""
    known = {"url": source.location} if source.kind == "url" else {}
    length = 0
    for part in parts:
        length += len(part.text)
        if length > _LONGEST:
            raise ContentError(f"it has more than {_LONGEST:,} characters")
        more = {
            name: clean(each) if isinstance(each, str) else each
            for name, each in part.meta_data.items()
        }
        meta_data = {**known, **more, **(content.metadata or {})}
        for chunk in chunking.chunks(clean(part.text)):
            text = encode([content.id, content.name, meta_data, chunk], "a chunk")
            chunk_id = sha256(text.encode()).hexdigest()[:32]
            yield Document(chunk, chunk_id, content.name, {**meta_data}, content.id)
