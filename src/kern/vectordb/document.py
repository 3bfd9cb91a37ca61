"""A piece of text that is kept to be found, and what is known of it."""

from dataclasses import dataclass, field
from hashlib import sha256

from kern.run.codec import encode


@dataclass(slots=True)
class Document:
    """A document, or a chunk of one.

    Attributes:
        content: its text.
        id: names it in a vector database, where another one of the same id takes its place; None
            for one that follows from content, name and ``content_id``, see :attr:`chunk_id`.
        name: what people call it, such as a file's name.
        meta_data: what it can be filtered by, and what else is known of it: JSON values.
        content_id: the content that it is a part of; what is deleted, and loaded again, as a whole.
        embedding: its place in the embedder's space; None where it has not been embedded yet.
        score: how well it fits what was looked for, more is better; of a search's results only,
            and comparable only within them.
        reranking_score: what a reranker says of that.
        usage: what embedding it has used, as its provider says.
        size: its size in bytes, or None.

    Example:
        >>> first = Document("Heat pumps move heat.", name="pumps.md", meta_data={"year": 2026})
        >>> first.to_dict()
        {'content': 'Heat pumps move heat.', 'name': 'pumps.md', 'meta_data': {'year': 2026}}
        >>> first.chunk_id == Document("Heat pumps move heat.", name="pumps.md").chunk_id
        True
    """

    content: str
    id: str | None = None
    name: str | None = None
    meta_data: dict[str, object] = field(default_factory=dict[str, object])
    content_id: str | None = None
    embedding: list[float] | None = field(default=None, repr=False)
    score: float | None = None
    reranking_score: float | None = None
    usage: dict[str, object] | None = None
    size: int | None = None

    @property
    def chunk_id(self) -> str:
        """Its id, or the one that follows from its content, name and ``content_id``."""
        if self.id is not None:
            return self.id
        text = encode([self.content_id, self.name, self.content], "the document")
        return sha256(text.encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON values, without its embedding and what is not known of it."""
        names = ("content", "id", "name", "meta_data", "content_id", "score", "reranking_score")
        values = {each: getattr(self, each) for each in (*names, "usage", "size")}
        return {name: value for name, value in values.items() if value not in (None, {})}
