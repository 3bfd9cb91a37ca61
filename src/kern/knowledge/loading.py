"""How contents become chunks in a vector database: read, cut, embedded and kept, batch by batch.

The same is done at once and in a run; in a run each batch is a step, and so is each content's end.
"""

import asyncio
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TypeVar

from kern.aio.retry import until_available
from kern.aio.tasks import together
from kern.aio.threads import call_in_thread
from kern.db.contents import Content, Contents, ContentStatus
from kern.db.database import Database
from kern.errors import ContentError, KernError, described
from kern.knowledge.chunking import Chunking
from kern.knowledge.fetching import fetch, folder, too_large
from kern.knowledge.readers import Part, Reader, reader_for
from kern.knowledge.sources import Request, Source, clean
from kern.run.codec import encode
from kern.run.event import CustomEvent
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document

# How many batches are embedded, and contents read, at a time; the seconds to read a batch.
_AT_ONCE, _PATIENCE = 4, 300.0

# How many characters a content may have: what is packed may be much more than its file.
_LONGEST = 200_000_000

# Of how many contents a load says the ids and faults.
_TOLD = 1000

Result = TypeVar("Result")

Steps = Callable[[str, Callable[[], Awaitable[object]]], Awaitable[object]]
"""What does a thing by its name, once."""


@dataclass(frozen=True, slots=True)
class Base:
    """What is loaded, and how; see :class:`kern.knowledge.Knowledge`."""

    name: str
    vector_db: VectorDb
    contents_db: Database | None
    readers: tuple[Reader, ...]
    chunking: Chunking
    max_file_size: int
    batch_size: int

    async def contents(self) -> Contents | None:
        """Return where it is written down what was loaded, if that is somewhere."""
        return None if self.contents_db is None else (await self.contents_db.store()).contents

    def id_of(self, location: str) -> str:
        """Return the id of the content that comes from somewhere."""
        return sha256(encode([self.name, location], "the source").encode()).hexdigest()[:32]


@dataclass
class Loaded:
    """What a load came to.

    Attributes:
        contents: how many contents are there now that were asked for.
        chunks: of how many chunks they are made.
        embedded: how many of these were embedded; the others were there already.
        skipped: how many contents were there before, and were left alone.
        failed: why contents could not be read, by their names; of 1,000 at most.
        ids: the ids of the contents, of the first 1,000.

    Example:
        >>> Loaded(contents=2, chunks=9, embedded=4).failed
        {}
    """

    contents: int = 0
    chunks: int = 0
    embedded: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    ids: list[str] = field(default_factory=list[str])


@dataclass
class KnowledgeProgress(CustomEvent):
    """How far a run has come that loads a knowledge base: told after each batch and content.

    Attributes:
        name: the content that was worked at.
        status: ``"processing"``, ``"completed"`` or ``"failed"``.
        chunks: of how many chunks it is made so far.
        done: how many contents are done.
        total: of how many.

    Example:
        >>> KnowledgeProgress(name="ferns.md", status="completed", done=1, total=7).done
        1
    """

    name: str = ""
    status: str = ""
    chunks: int = 0
    done: int = 0
    total: int = 0


async def at_once(name: str, function: Callable[[], Awaitable[object]]) -> object:
    """Do a thing without writing down that it was done."""
    return await function()


class Loading:
    """A load under way."""

    def __init__(
        self,
        base: Base,
        request: Request,
        *,
        step: Steps = at_once,
        tell: Callable[[KnowledgeProgress], None] = lambda event: None,
        run_id: str | None = None,
        waits: bool = False,
    ) -> None:
        """Load nothing yet.

        Args:
            base: what is loaded.
            request: with what.
            step: does each batch, and each content's end, once.
            tell: is told how far it has come.
            run_id: the run that loads it, if one does.
            waits: whether it waits for databases that are away, as runs do.
        """
        self._base = base
        self._request = request
        self._step = step
        self._tell = tell
        self._run_id = run_id
        self._waits = waits
        self._loaded = Loaded()
        self._done = self._total = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def all(self) -> Loaded:
        """Load what was asked for; what cannot be read does not stop the rest.

        Raises:
            ContentError: there is one content only, and it cannot be read; or none.
            KernError: the embedder, or a database, failed.
        """
        sources = await call_in_thread(self._request.sources)
        await self._available(self._base.vector_db.acreate)
        contents = await self._available(self._base.contents)
        self._total = len(sources)
        waiting = iter(sources)

        async def work() -> None:
            for source in waiting:
                await self._one(contents, source)

        async with together() as group:
            for _ in range(min(_AT_ONCE, len(sources))):
                group.create_task(work())
        return self._loaded

    async def _one(self, contents: Contents | None, source: Source) -> None:
        """Load a content, and write down how far that has come."""
        base, request, loaded = self._base, self._request, self._loaded
        content = Content(
            base.id_of(source.location),
            clean(source.name),
            clean(source.location),
            description=request.description,
            metadata=request.metadata,
            run_id=self._run_id,
        )
        try:
            known = await self._known(contents, content)
            if known is not None and known.run_id == self._run_id is not None:
                return self._ended(known, embedded=0)  # By an earlier attempt at the run.
            if known is not None and request.skip_if_exists:
                loaded.skipped += 1
                return self._report(known)
            if known is not None and not request.upsert:
                raise ContentError(f"{source.name}: it is there already, and upsert is False")
            await self._put(contents, content)
            content, embedded = await self._kept(contents, content, source)
        except Exception as error:
            why = str(error) if isinstance(error, KernError) else described(error)
            failed = content._replace(status=ContentStatus.FAILED, status_message=clean(why))
            await self._put(contents, failed)
            if not isinstance(error, ContentError) or self._total == 1:
                raise
            if len(loaded.failed) < _TOLD:
                loaded.failed[content.name] = why
            return self._report(failed)
        self._ended(content, embedded)

    async def _known(self, contents: Contents | None, content: Content) -> Content | None:
        """Return a content that was loaded before, as a whole."""
        done = content._replace(status=ContentStatus.COMPLETED, run_id=None)
        if contents is not None:
            find = partial(contents.find, self._base.name, content.id)
            found = await self._available(find)
            return found if found is not None and found.status is done.status else None
        if self._request.upsert and not self._request.skip_if_exists:
            return None
        count = await self._available(partial(self._base.vector_db.acount, content_id=content.id))
        return done._replace(chunks=count) if count else None

    async def _kept(
        self, contents: Contents | None, content: Content, source: Source
    ) -> tuple[Content, int]:
        """Keep the chunks of a content, and none that it had before; return how many are new."""
        base, ids, embedded = self._base, dict[str, None](), 0

        async def keep(name: str, batch: list[Document]) -> None:
            nonlocal embedded
            try:
                new = await self._do(name, partial(_keep, base.vector_db, batch))
                embedded += new if isinstance(new, int) else 0
                self._report(content._replace(chunks=len(ids)))
            finally:
                self._slots.release()

        async with _opened(base, source) as (parts, size):
            batches = _batches(_documents(content, source, parts, base.chunking), base.batch_size)
            try:
                async with together() as group:
                    while batch := await _next(batches, source):
                        digest = sha256("".join([each.chunk_id for each in batch]).encode())
                        name = f"{content.id[:16]} {len(ids)} {digest.hexdigest()[:16]}"
                        ids.update(dict.fromkeys([each.chunk_id for each in batch]))
                        await self._slots.acquire()
                        group.create_task(keep(name, batch))
            finally:
                with suppress(ValueError):  # It still reads, in a thread that was left behind.
                    batches.close()
        if not ids:
            raise ContentError(f"{source.name}: there is no text in it")
        done = content._replace(status=ContentStatus.COMPLETED, size=size, chunks=len(ids))

        async def end() -> None:
            await base.vector_db.adelete_by_content_id(content.id, keep=[*ids])
            if contents is not None:
                await contents.put(base.name, done)

        await self._do(f"{content.id[:16]} ends", end)
        return done, embedded

    async def _do(self, name: str, function: Callable[[], Awaitable[object]]) -> object:
        return await self._step(name, partial(self._available, function))

    async def _available(self, function: Callable[[], Awaitable[Result]]) -> Result:
        return await (until_available(function) if self._waits else function())

    async def _put(self, contents: Contents | None, content: Content) -> None:
        if contents is not None:
            await self._available(partial(contents.put, self._base.name, content))

    def _ended(self, content: Content, embedded: int) -> None:
        loaded = self._loaded
        loaded.contents += 1
        loaded.chunks += content.chunks
        loaded.embedded += embedded
        if len(loaded.ids) < _TOLD:
            loaded.ids.append(content.id)
        self._report(content)

    def _report(self, content: Content) -> None:
        self._done += content.status is not ContentStatus.PROCESSING
        self._tell(
            KnowledgeProgress(
                name=content.name,
                status=content.status.value,
                chunks=content.chunks,
                done=self._done,
                total=self._total,
            )
        )


async def _keep(vector_db: VectorDb, batch: Sequence[Document]) -> int:
    """Keep those of some chunks that are not there; return how many these are."""
    missing = {*await vector_db.amissing([each.chunk_id for each in batch])}
    if missing:
        await vector_db.aupsert([each for each in batch if each.chunk_id in missing])
    return len(missing)


@asynccontextmanager
async def _opened(base: Base, source: Source) -> AsyncGenerator[tuple[Iterator[Part], int], None]:
    """Have the parts of a content, which nobody has read yet, and how many bytes it has."""
    if source.kind == "text":
        yield iter([Part(source.text)]), len(source.text.encode("utf-8", "replace"))
        return
    with folder() as made:
        path, media_type = Path(source.location), None
        try:
            if source.kind == "url":
                path, media_type = await fetch(source.location, made, base.max_file_size)
            found = await call_in_thread(path.stat)
            if not stat.S_ISREG(found.st_mode):
                raise ContentError("it is no file")
            if found.st_size > base.max_file_size:
                raise too_large(found.st_size, base.max_file_size)
        except ContentError as error:
            raise ContentError(f"{source.name}: {error}") from None
        except OSError as error:
            raise ContentError(f"{source.name}: {error.strerror}") from None
        yield reader_for(path, media_type, base.readers).read(path), found.st_size


async def _next(batches: Iterator[list[Document]], source: Source) -> list[Document] | None:
    """Return the next chunks, read in a thread.

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


def _batches(documents: Iterator[Document], size: int) -> Generator[list[Document], None, None]:
    while batch := [*islice(documents, size)]:
        yield batch
