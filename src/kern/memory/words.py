"""By which words a memory is found, the same in every database and of any language."""

import re
import unicodedata
from collections.abc import Iterable
from typing import TypeAlias

Words: TypeAlias = tuple[str, ...]
"""Words of a memory, and its topics with :data:`TOPIC` before each."""

TOPIC = "#"

_LONGEST = 100

# Scripts that put no space between words: each sign is one.
_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W_{_SIGNS}]+")


def words_of(text: str) -> Words:
    """Return the words of a text, each once, as they are compared: in lower case, without accents.

    Example:
        >>> words_of("Crème brûlée, crème!"), words_of("お茶")
        (('creme', 'brulee'), ('お', '茶'))
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    found = _WORD.findall("".join(each for each in plain if not unicodedata.combining(each)))
    return tuple(dict.fromkeys(each[:_LONGEST] for each in found))


def topic_word(topic: str) -> str:
    """Return by which word the memories of a topic are found, however it is written."""
    return TOPIC + " ".join(words_of(topic))[: 2 * _LONGEST]


def found_by(memory: str, topics: Iterable[str]) -> Words:
    """Return the words by which a memory is found."""
    topics = [*topics]
    return words_of(" ".join([memory, *topics])) + tuple(
        dict.fromkeys(topic_word(each) for each in topics)
    )
