"""A vector database in this process, which finds by words, and counts what is embedded."""

import json
import os
import re
import signal
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from kern.filters import Filters, filter_of
from kern.vectordb.base import VectorDb
from kern.vectordb.document import Document


class WordsDb(VectorDb):
    """Documents by their words.

    Attributes:
        documents: what is kept, by id.
        embedded: the contents of what was embedded, in order.
        before: is called before documents are embedded, and may raise.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.embedded: list[str] = []
        self.before: Callable[[Sequence[Document]], None] = lambda documents: None

    async def acreate(self) -> None:
        pass

    async def aexists(self) -> bool:
        return True

    async def adrop(self) -> None:
        self.documents.clear()

    async def aupsert(self, documents: Sequence[Document]) -> None:
        self.before(documents)
        for each in documents:
            self.embedded.append(each.content)
            self.documents[each.chunk_id] = each

    async def asearch(self, query: str, limit: int = 5, filters: Filters = None) -> list[Document]:
        condition, words = filter_of(filters), {*query.lower().split()}
        found = [
            (len(words & {*re.findall(r"\w+", each.content.lower())}), each)
            for each in self.documents.values()
            if condition is None or condition.matches(each.meta_data)
        ]
        found = sorted([each for each in found if each[0]], key=lambda each: -each[0])
        return [each for _, each in found[:limit]]

    async def amissing(self, ids: Sequence[str]) -> list[str]:
        return [each for each in ids if each not in self.documents]

    async def acount(
        self, *, content_id: str | None = None, name: str | None = None, filters: Filters = None
    ) -> int:
        condition = filter_of(filters)
        return sum(
            content_id in (None, each.content_id)
            and name in (None, each.name)
            and (condition is None or condition.matches(each.meta_data))
            for each in self.documents.values()
        )

    async def afilter_keys(self) -> list[str]:
        return sorted({key for each in self.documents.values() for key in each.meta_data})

    async def adelete_by_id(self, id: str) -> int:
        return 0 if self.documents.pop(id, None) is None else 1

    async def adelete_by_name(self, name: str) -> int:
        return self._delete(lambda each: each.name == name)

    async def adelete_by_content_id(self, content_id: str, *, keep: Collection[str] = ()) -> int:
        return self._delete(
            lambda each: each.content_id == content_id and each.chunk_id not in keep
        )

    async def adelete_by_metadata(self, filters: Filters) -> int:
        condition = filter_of(filters)
        assert condition is not None
        return self._delete(lambda each: condition.matches(each.meta_data))

    async def aclose(self) -> None:
        pass

    def _delete(self, is_gone: Callable[[Document], bool]) -> int:
        gone = [name for name, each in self.documents.items() if is_gone(each)]
        for each in gone:
            del self.documents[each]
        return len(gone)


class LoggedDb(WordsDb):
    """The same in a file, to which each change is appended at once: it outlives its process."""

    def __init__(self, log: Path, *, killed_at: int | None = None) -> None:
        """Read what is there.

        Args:
            log: the file.
            killed_at: the process dies as the batch of this number, from 0 on, was embedded, and is
                kept nowhere; or was kept, and nobody was told of it, where it is negative, from -1.
        """
        super().__init__()
        self._log = log
        self._killed_at = killed_at
        self._batches = 0
        for line in log.read_text().splitlines() if log.exists() else ():
            self._take(Document(**json.loads(line)))

    async def aupsert(self, documents: Sequence[Document]) -> None:
        number, self._batches = self._batches, self._batches + 1
        if number == self._killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._log.open("a") as log:
            for each in documents:
                log.write(json.dumps(each.to_dict()) + "\n")
        if self._killed_at is not None and -1 - number == self._killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        for each in documents:
            self._take(each)

    def _take(self, document: Document) -> None:
        self.embedded.append(document.content)
        self.documents[document.chunk_id] = document
