"""The statements of a table of documents in SQLite."""

from typing import NamedTuple

from kern.vectordb.values import RANK

_COLUMNS = "id, content_id, name, meta_data, content, size, usage"


class Table(NamedTuple):
    """A table of documents, with one of their embeddings beside it, and an index of their words.

    Attributes:
        name: its name.
    """

    name: str

    @property
    def creation(self) -> list[str]:
        """The statements that make it."""
        return [
            f"""
CREATE TABLE IF NOT EXISTS "{self.name}" (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    content_id TEXT,
    name TEXT,
    meta_data TEXT NOT NULL,
    content TEXT NOT NULL,
    size INTEGER,
    usage TEXT
)""",
            # A search reads all of them, and nothing else.
            f"""
CREATE TABLE IF NOT EXISTS "{self.name}_embeddings" (
    n INTEGER PRIMARY KEY,
    embedding BLOB NOT NULL
)""",
            f'CREATE VIRTUAL TABLE IF NOT EXISTS "{self.name}_words" USING fts5 (content, '
            "content = '', contentless_delete = 1, tokenize = 'porter unicode61')",
            f"""
CREATE TRIGGER IF NOT EXISTS "{self.name}_deleted" AFTER DELETE ON "{self.name}" BEGIN
    DELETE FROM "{self.name}_embeddings" WHERE n = old.n;
    DELETE FROM "{self.name}_words" WHERE rowid = old.n;
END""",
            f'CREATE INDEX IF NOT EXISTS "{self.name}_content_id" ON "{self.name}" (content_id)',
            f'CREATE INDEX IF NOT EXISTS "{self.name}_named" ON "{self.name}" (name)',
        ]

    @property
    def removal(self) -> list[str]:
        """The statements that delete it."""
        return [
            f'DROP TABLE IF EXISTS "{self.name}{part}"' for part in ("", "_embeddings", "_words")
        ]

    @property
    def upsert(self) -> str:
        """The statement that keeps a document, and returns its number."""
        kept = ("content_id", "name", "meta_data", "content", "size", "usage")
        return f"""
INSERT INTO "{self.name}" (id, content_id, name, meta_data, content, size, usage)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in kept)}
RETURNING n"""

    @property
    def embed(self) -> str:
        """The statement that keeps the embedding of a document."""
        return f'INSERT OR REPLACE INTO "{self.name}_embeddings" VALUES (?1, ?2)'

    @property
    def read(self) -> str:
        """The statement that has a document be found by its words."""
        return f'INSERT OR REPLACE INTO "{self.name}_words" (rowid, content) VALUES (?1, ?2)'

    def by_meaning(self, where: str) -> str:
        """Return the search by meaning; ?1 is the embedding, ?2 the limit."""
        return f"""
SELECT {_COLUMNS}, 1 - distance AS score
FROM ({self._meant(where, "?2")}) JOIN "{self.name}" USING (n) ORDER BY distance, id"""

    def by_words(self, where: str) -> str:
        """Return the search by words; ?1 is the query, ?2 the limit."""
        return f"""
SELECT {_COLUMNS}, -fit AS score
FROM ({self._worded(where, "?1", "?2")}) JOIN "{self.name}" USING (n) ORDER BY fit, id"""

    def by_both(self, where: str) -> str:
        """Return the search by both.

        ?1 is the embedding, ?2 the limit, ?3 the query, ?4 how many each list has, ?5 and ?6 how
        much a place in that of meaning and that of words counts.
        """
        return f"""
WITH meant AS (
    SELECT n, row_number() OVER (ORDER BY distance, n) AS place FROM ({self._meant(where, "?4")})),
worded AS (
    SELECT n, row_number() OVER (ORDER BY fit, n) AS place
    FROM ({self._worded(where, "?3", "?4")}))
SELECT {_COLUMNS}, coalesce(?5 / ({RANK} + meant.place), 0)
    + coalesce(?6 / ({RANK} + worded.place), 0) AS score
FROM meant FULL JOIN worded USING (n) JOIN "{self.name}" USING (n)
ORDER BY score DESC, id LIMIT ?2"""

    def _meant(self, where: str, limit: str) -> str:
        return f"""SELECT n, vec_distance_cosine(embedding, ?1) AS distance
FROM "{self.name}_embeddings" WHERE {self._those(where, "n")}
ORDER BY distance NULLS LAST LIMIT {limit}"""

    def _worded(self, where: str, query: str, limit: str) -> str:
        words = f'"{self.name}_words"'
        return f"""SELECT rowid AS n, rank AS fit FROM {words}
WHERE {words} MATCH {query} AND {self._those(where, "rowid")} ORDER BY rank LIMIT {limit}"""

    def _those(self, where: str, column: str) -> str:
        """Return that a row is of a document that meets a condition."""
        if where == "true":
            return where
        return f'{column} IN (SELECT n FROM "{self.name}" WHERE {where})'
