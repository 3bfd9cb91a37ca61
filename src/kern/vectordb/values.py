"""What is kept of documents, in a form that every database takes, and what it is checked for."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from kern.embedders.answers import embeddings_of, numbers_of
from kern.embedders.base import Embedder
from kern.errors import ConfigurationError, InvalidInputError
from kern.keywords import shown
from kern.run.codec import decode_object, encode
from kern.vectordb.base import SearchType
from kern.vectordb.document import Document

QUERY = 8_000
"""How many characters of what is looked for count."""

LIMIT = 1_000
"""How many documents a search returns at most."""

RANK = 10
"""How well a document fits by meaning and by words is the sum of 1 / (RANK + its place) over both
lists, each by its weight: reciprocal rank fusion, as docs/explanation/retrieval.md measures it."""

BATCH = 100
"""How many documents are embedded and written together."""

# How many bytes an id has at most: the index of PostgreSQL takes no more than some of them.
_ID = 2000


def cleaned(text: str) -> str:
    """Return a text without what databases refuse: NUL, and halves of characters."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def json_of(values: Mapping[str, object], what: str) -> str:
    """Return JSON values as text, cleaned as texts are.

    Args:
        values: by their names.
        what: what they are, for the error.

    Raises:
        InvalidInputError: they have no JSON form.
    """
    try:
        cleaned_values = _clean(values)
    except RecursionError:
        raise InvalidInputError(f"{what} has no JSON form: it is nested too deep.") from None
    return encode(cleaned_values, what)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {_clean(name): _clean(each) for name, each in members.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in cast("Sequence[object]", value)]
    return value


def check_limit(limit: object) -> int:
    """Return how many documents to look for.

    Raises:
        InvalidInputError: it is no number, or too large.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= LIMIT:
        raise InvalidInputError(f"limit must be a number from 1 to {LIMIT}, not {limit!r:.50}.")
    return limit


def query_of(query: object) -> str:
    """Return what is looked for, as far as it counts.

    Raises:
        InvalidInputError: it is no text.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"What is looked for must be a text, not {query!r:.50}.")
    return cleaned(query[:QUERY])


def latest(documents: Sequence[Document]) -> list[Document]:
    """Return documents without those in whose place a later one stands."""
    return [*{each.chunk_id: each for each in documents}.values()]


async def embed(documents: Sequence[Document], embedder: Embedder, where: str) -> None:
    """Give an embedding to documents that have none, and check those of all.

    Args:
        documents: the documents.
        embedder: embeds them, in one call.
        where: the table, for errors.

    Raises:
        ConfigurationError: an embedding is of another size than the table's, or none.
        ModelError: the embedder failed.
    """
    new = [each for each in documents if each.embedding is None]
    if new:
        found = await embedder.aembed([each.content for each in new])
        for document, embedding in zip(
            new, embeddings_of(found, len(new), embedder.id), strict=True
        ):
            document.embedding = cast("list[float]", embedding)
    size = await embedder.aget_dimensions()
    for each in documents:
        each.embedding = numbers_of(each.embedding, embedder.id)
        check_size(each.embedding, size, embedder, where)


async def embedded(query: str, size: int, embedder: Embedder, where: str) -> list[float]:
    """Return the embedding of what is looked for, checked as those of documents.

    Args:
        query: what is looked for.
        size: how many numbers those of the table have.
        embedder: embeds it.
        where: the table, for errors.

    Raises:
        ConfigurationError: it is of another size, or none.
        ModelError: the embedder failed.
    """
    embedding = numbers_of(await embedder.aget_embedding(query), embedder.id)
    check_size(embedding, size, embedder, where)
    return embedding


def check_size(embedding: Sequence[float], size: int, embedder: Embedder, where: str) -> None:
    """Check that an embedding is one of a table.

    Args:
        embedding: the embedding.
        size: how many numbers those of the table have.
        embedder: whose it is, for errors.
        where: the table, for errors.

    Raises:
        ConfigurationError: it is not.
    """
    if len(embedding) != size:
        raise wrong_size(where, size, embedder, len(embedding))


def wrong_size(where: str, size: int, embedder: Embedder, found: int) -> ConfigurationError:
    """Return the error of a table whose embeddings have another size."""
    return ConfigurationError(
        f"{where} is for embeddings of {size} numbers, and {embedder.id} makes {found}. Embeddings "
        "of two models cannot be compared: name another table, or drop() this one and load it anew."
    )


Kept: TypeAlias = tuple[str, str | None, str | None, str, str, int | None, str | None]
"""What is kept of a document beside its embedding: id, content_id, name, meta_data, content, size
and usage."""


def kept(document: Document) -> Kept:
    """Return what is kept of a document beside its embedding.

    Raises:
        InvalidInputError: what is known of it has no JSON form, or its id is too long.
    """
    what = f"What is known of {document.chunk_id!r:.60}"
    chunk_id = cleaned(document.chunk_id)
    if len(chunk_id.encode()) > _ID:
        raise InvalidInputError(f"The id {chunk_id!r:.60} has more than {_ID:,} bytes.")
    return (
        chunk_id,
        None if document.content_id is None else cleaned(document.content_id),
        None if document.name is None else cleaned(document.name),
        json_of(document.meta_data, what),
        cleaned(document.content),
        document.size,
        None if document.usage is None else json_of(document.usage, what),
    )


def document_of(row: Sequence[Any]) -> Document:
    """Return a document out of what was kept, with its score behind that."""
    id, content_id, name, meta_data, content, size, usage, score = row
    return Document(
        content,
        id,
        name,
        decode_object(meta_data),
        content_id,
        score=score,
        usage=None if usage is None else decode_object(usage),
        size=size,
    )


def checked_embedder(embedder: Embedder | None) -> Embedder:
    """Return what embeds: OpenAI's, where nobody has said what does.

    Raises:
        ConfigurationError: it is no embedder.
    """
    if embedder is None:
        from kern.embedders.openai import OpenAIEmbedder

        return OpenAIEmbedder()
    given: object = embedder
    if not isinstance(given, Embedder):
        raise ConfigurationError(f"embedder must be an Embedder, not {shown(given)}.")
    return given


def check_weight(weight: object) -> float:
    """Return how much meaning counts beside words.

    Raises:
        ConfigurationError: it is no share.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise ConfigurationError(f"vector_score_weight must be from 0 to 1, not {weight!r:.50}.")
    return float(weight)


def check_search_type(search_type: SearchType | str) -> SearchType:
    """Return how documents are found.

    Raises:
        ConfigurationError: they are not found so.
    """
    try:
        return SearchType(search_type)
    except ValueError:
        raise ConfigurationError(
            f"search_type must be 'vector', 'keyword' or 'hybrid', not {search_type!r:.50}."
        ) from None
