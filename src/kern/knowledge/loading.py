"""How contents become chunks in a vector database: read, cut, embedded and kept, batch by batch.

The same is done at once and in a run; in a run each batch is a step, and so is each content's end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TypeVar

from kern.aio.retry import until_available
from kern.aio.tasks import together
from kern.aio.threads import call_in_thread
from kern.db.contents import Content, Contents, ContentStatus
from kern.db.database import Database
from kern.errors import ContentError, DatabaseError, KernError, StepError, described
from kern.knowledge.chunking import Chunking
from kern.knowledge.readers import Reader
from kern.knowledge.reading import batches_of, next_of, opened
from kern.knowledge.sources import Request, Source, clean
from kern.run.codec import encode
from kern.run.event import CustomEvent
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document

# How many batches are embedded, and contents read, at a time.
_AT_ONCE = 4

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
        self._under_way: dict[str, Content] = {}
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

        try:
            async with together() as group:
                for _ in range(min(_AT_ONCE, len(sources))):
                    group.create_task(work())
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, Exception) or self._run_id is None:  # A run may go on.
                with suppress(DatabaseError):  # What has failed first is what is told.
                    for each in self._under_way.values():
                        await self._put(contents, _failed(each, error))
            raise
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
            self._under_way[content.id] = content
            await self._put(contents, content)
            content, embedded = await self._kept(contents, content, source)
        except ContentError as error:
            if self._total == 1:
                raise
            failed = _failed(content, error)
            if content.id in self._under_way:  # What is refused stays as it is.
                await self._put(contents, failed)
            if len(loaded.failed) < _TOLD:
                name = content.source if content.name in loaded.failed else content.name
                loaded.failed[name] = str(error)
            self._report(failed)
        else:
            self._ended(content, embedded)
        self._under_way.pop(content.id, None)

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
        embedded = 0
        # Who loads or removes the same content meanwhile may delete what is kept: then once more.
        for again in ("", " again"):
            ids, size, new = await self._read(content, source, again)
            embedded += new
            done = content._replace(status=ContentStatus.COMPLETED, size=size, chunks=len(ids))
            end = partial(self._end, contents, done, ids)
            if await self._do(f"{content.id[:16]} ends{again}", end) is not False:
                return done, embedded
        raise ContentError(f"{source.name}: it was deleted while it was loaded: load it again")

    async def _end(self, contents: Contents | None, content: Content, ids: list[str]) -> bool:
        """Delete what a content had before, and say whether what it has now is there."""
        vector_db = self._base.vector_db
        await vector_db.adelete_by_content_id(content.id, keep=ids)
        is_whole = not await vector_db.amissing(ids)
        if is_whole:
            await self._put(contents, content)
        return is_whole

    async def _read(
        self, content: Content, source: Source, again: str
    ) -> tuple[list[str], int, int]:
        """Keep the chunks of a content; return their ids, its bytes, and how many are new."""
        base, ids, embedded = self._base, dict[str, None](), 0

        async def keep(name: str, batch: list[Document]) -> None:
            nonlocal embedded
            try:
                new = await self._do(name, partial(_keep, base.vector_db, batch))
                embedded += new if isinstance(new, int) else 0
                self._report(content._replace(chunks=len(ids)))
            finally:
                self._slots.release()

        async with opened(source, base.readers, base.max_file_size) as (parts, size):
            batches = batches_of(content, source, parts, base.chunking, base.batch_size)
            try:
                async with together() as group:
                    while found := await next_of(batches, source):
                        # What a text says twice is one chunk, and each step has a name of its own.
                        batch = {each.chunk_id: each for each in found if each.chunk_id not in ids}
                        if not batch:
                            continue
                        digest = sha256("".join(batch).encode())
                        name = f"{content.id[:16]} {len(ids)} {digest.hexdigest()[:16]}{again}"
                        ids.update(dict.fromkeys(batch))
                        await self._slots.acquire()
                        group.create_task(keep(name, [*batch.values()]))
            finally:
                with suppress(ValueError):  # It still reads, in a thread that was left behind.
                    batches.close()
        if not ids:
            raise ContentError(f"{source.name}: there is no text in it")
        return [*ids], size, embedded

    async def _do(self, name: str, function: Callable[[], Awaitable[object]]) -> object:
        try:
            return await self._step(name, partial(self._available, function))
        except StepError as error:  # Its name says nothing to people.
            raise error.__cause__ or error from None

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


def _failed(content: Content, error: BaseException) -> Content:
    why = str(error) if isinstance(error, KernError) else described(error)
    if isinstance(error, asyncio.CancelledError):
        why = "it was cancelled"
    return content._replace(status=ContentStatus.FAILED, status_message=clean(why))


async def _keep(vector_db: VectorDb, batch: Sequence[Document]) -> int:
    """Keep those of some chunks that are not there; return how many these are."""
    missing = {*await vector_db.amissing([each.chunk_id for each in batch])}
    if missing:
        await vector_db.aupsert([each for each in batch if each.chunk_id in missing])
    return len(missing)
