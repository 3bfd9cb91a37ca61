"""The statements of a table of documents in PostgreSQL."""

from dataclasses import dataclass
from typing import NamedTuple

from kern.errors import ConfigurationError
from kern.run.numbers import check_count
from kern.vectordb.values import RANK

# How well it fits by words: each of them counts the more the rarer it is, and the oftener it stands
# in the document, by the length of that; PostgreSQL's own ranks take all words for the same.
_FIT = "(SELECT sum(weight * ts_rank(words, term, 1)) FROM terms)"

# Words that so many of the documents have find too many, unless there are no others.
_COMMON = 0.1

# How rare a word is taken to be where the statistics of the table are not there yet.
_RARE = 0.01

# So many words of a query count, the rarest of them.
_TERMS = 32

_COLUMNS = "id, content_id, name, meta_data, content, size, usage"

COLUMNS = frozenset([*_COLUMNS.split(", "), "embedding", "words"])
"""What a table of documents has, and no other table."""

# What is longer than the text search takes is found by its beginning.
_SEARCHED = 100_000

# The index serves so many numbers as they are, and twice as many of half the precision.
_WHOLE, MOST = 2000, 4000


@dataclass(frozen=True, slots=True)
class HNSW:
    """How the index of the embeddings is made, and searched.

    Attributes:
        m: how many neighbours each embedding has in it, from 2 to 100.
        ef_construction: how many are looked at to find them, from 2 * ``m`` to 1000.
        ef_search: how many a search looks at first, from 1 to 1000; more of them find more of what
            fits best, and take longer.

    Example:
        >>> HNSW(ef_search=200).m
        16
    """

    m: int = 16
    ef_construction: int = 64
    ef_search: int = 100

    def __post_init__(self) -> None:
        for name, least, most in (
            ("m", 2, 100),
            ("ef_construction", 2 * self.m, 1000),
            ("ef_search", 1, 1000),
        ):
            value = check_count(name, getattr(self, name), ConfigurationError, least=least)
            if value > most:
                raise ConfigurationError(f"{name} must be {most} at most, not {value}.")


class Table(NamedTuple):
    """A table of documents.

    Attributes:
        schema: its schema.
        name: its name there.
        size: how many numbers an embedding has.
        language: how words are brought to their stems.
    """

    schema: str
    name: str
    size: int
    language: str

    @property
    def quoted(self) -> str:
        """Its name as statements have it."""
        return f'"{self.schema}"."{self.name}"'

    def creation(self, made: HNSW) -> list[str]:
        """Return the statements that make it.

        Args:
            made: how the index of the embeddings is made.
        """
        index, operators = self.name, "halfvec" if self.size > _WHOLE else "vector"
        return [
            f"""
CREATE TABLE IF NOT EXISTS {self.quoted} (
    id text PRIMARY KEY,
    content_id text,
    name text,
    meta_data jsonb NOT NULL,
    content text NOT NULL,
    embedding vector({self.size}) NOT NULL,
    words tsvector NOT NULL GENERATED ALWAYS AS (
        to_tsvector('{self.language}'::regconfig, left(content, {_SEARCHED}))) STORED,
    size bigint,
    usage jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)""",
            f'CREATE INDEX IF NOT EXISTS "{index}_embedding_idx" ON {self.quoted} USING hnsw '
            f"(({self._embedding}) {operators}_cosine_ops) "
            f"WITH (m = {made.m}, ef_construction = {made.ef_construction})",
            f'CREATE INDEX IF NOT EXISTS "{index}_words_idx" ON {self.quoted} USING gin (words)',
            f'CREATE INDEX IF NOT EXISTS "{index}_meta_data_idx" ON {self.quoted} '
            "USING gin (meta_data jsonb_path_ops)",
            # Of any length: others take no names of more than some thousand bytes.
            f'CREATE INDEX IF NOT EXISTS "{index}_content_id_idx" ON {self.quoted} '
            "USING hash (content_id)",
            f'CREATE INDEX IF NOT EXISTS "{index}_name_idx" ON {self.quoted} USING hash (name)',
        ]

    @property
    def upsert(self) -> str:
        """The statement that keeps documents; what is the same already is not written."""
        kept = ("content_id", "name", "meta_data", "content", "size", "usage", "embedding")
        given = ", ".join(f"${number}::text[]" for number in range(1, 6))
        changed = " OR ".join(f"old.{each} IS DISTINCT FROM EXCLUDED.{each}" for each in kept)
        return f"""
INSERT INTO {self.quoted} AS old ({_COLUMNS}, embedding)
SELECT id, content_id, name, meta_data::jsonb, content, size, usage::jsonb, embedding::vector
FROM unnest({given}, $6::bigint[], $7::text[], $8::text[]) AS given ({_COLUMNS}, embedding)
ON CONFLICT (id) DO UPDATE SET updated_at = now(),
    {", ".join(f"{each} = EXCLUDED.{each}" for each in kept)}
WHERE {changed}"""

    def by_meaning(self, where: str) -> str:
        """Return the search by meaning; $1 is the embedding, $2 the limit."""
        return f"""
SELECT {_COLUMNS}, 1 - distance AS score FROM ({self._nearest(_COLUMNS, where, "$2")}) AS found
ORDER BY distance, id"""

    def by_words(self, where: str) -> str:
        """Return the search by words; $1 is the query, $2 the limit."""
        return f"""
WITH {self._query("$1")}
SELECT {_COLUMNS}, {_FIT} AS score FROM {self.quoted}, query
WHERE words @@ asked AND {where} ORDER BY score DESC, id LIMIT $2"""

    def by_both(self, where: str) -> str:
        """Return the search by both.

        $1 is the embedding, $2 the limit, $3 the query, $4 how many each list has, $5 and $6 how
        much a place in that of meaning and that of words counts.
        """
        return f"""
WITH {self._query("$3")},
meant AS (
    SELECT id, row_number() OVER (ORDER BY distance, id) AS place
    FROM ({self._nearest("id", where, "$4")}) AS found),
worded AS (
    SELECT id, row_number() OVER (ORDER BY fit DESC, id) AS place
    FROM (SELECT id, {_FIT} AS fit FROM {self.quoted}, query
        WHERE words @@ asked AND {where} ORDER BY fit DESC, id LIMIT $4) AS found),
fused AS (
    SELECT id, coalesce($5::float8 / ({RANK} + meant.place), 0)
        + coalesce($6::float8 / ({RANK} + worded.place), 0) AS score
    FROM meant FULL JOIN worded USING (id)
    ORDER BY score DESC, id LIMIT $2)
SELECT {_COLUMNS}, score FROM fused JOIN {self.quoted} USING (id) ORDER BY score DESC, id"""

    def deletion(self, where: str) -> str:
        """Return the statement that deletes documents, and says how many."""
        return (
            f"WITH gone AS (DELETE FROM {self.quoted} WHERE {where} RETURNING 1) "
            "SELECT count(*) FROM gone"
        )

    def _nearest(self, columns: str, where: str, limit: str) -> str:
        """Return the search for the nearest embeddings, with their distance.

        The index gives up after some thousands that do not meet a condition. Where it has found
        too few, those that meet it are few: then all of them are compared.
        """
        chosen = f"SELECT {columns}, {self._distance} AS distance FROM {self.quoted} WHERE {where}"
        nearest = f"{chosen} ORDER BY {self._distance} LIMIT {limit}"
        if where == "true":
            return nearest
        few = f"(SELECT count(*) FROM near) < {limit}"
        return f"""
WITH near AS MATERIALIZED ({nearest})
SELECT {columns}, distance FROM near WHERE NOT {few}
UNION ALL ({chosen} AND {few} ORDER BY ({self._distance}) + 0 LIMIT {limit})"""

    @property
    def _embedding(self) -> str:
        return f"embedding::halfvec({self.size})" if self.size > _WHOLE else "embedding"

    @property
    def _distance(self) -> str:
        kind = f"halfvec({self.size})" if self.size > _WHOLE else "vector"
        return f"{self._embedding} <=> $1::text::{kind}"

    def _query(self, text: str) -> str:
        """Return what a text asks for: its words, each quoted, and how much each of them counts."""
        return f"""known AS (
    SELECT lexeme, share FROM pg_stats, unnest(
        most_common_elems::text::text[], most_common_elem_freqs) AS each (lexeme, share)
    WHERE schemaname = '{self.schema}' AND tablename = '{self.name}' AND attname = 'words'
        AND lexeme IS NOT NULL),
terms AS MATERIALIZED (
    SELECT ('''' || replace(replace(asked.lexeme, '\\', '\\\\'), '''', '''''') || '''')
        ::tsquery AS term, coalesce(share, 0) AS share,
        -ln(coalesce(share, (SELECT min(share) / 2 FROM known), {_RARE})) AS weight
    FROM unnest(to_tsvector('{self.language}'::regconfig, {text}::text)) AS asked
    LEFT JOIN known USING (lexeme)
    ORDER BY share NULLS FIRST LIMIT {_TERMS}),
query AS MATERIALIZED (
    SELECT coalesce(string_agg(term::text, ' | ') FILTER (WHERE share < {_COMMON}),
        string_agg(term::text, ' | '))::tsquery AS asked FROM terms)"""
